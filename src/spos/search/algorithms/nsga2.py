"""NSGA-II with Optuna's sampler, for a front of the score and costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import optuna
from optuna.samplers import NSGAIISampler
from optuna.study import StudyDirection

from spos._util.errors import UserError
from spos._util.randomness import generator
from spos.search.algorithm import ALGORITHMS, Algorithm, refuse_children
from spos.search.history import History
from spos.search.settings import SearchSettings
from spos.search.study import make_distributions
from spos.space import Architecture


@ALGORITHMS.register("nsga2")
class Nsga2(Algorithm):
    """Search for a front by Optuna's NSGA-II, restricted to new and feasible candidates.

    Every generation is drawn from a fresh study in memory with all former generations, by a sampler
    seeded by the number of the generation, so that proposals depend only on the scores.

    Source: Deb et al., A fast and elitist multiobjective genetic algorithm: NSGA-II (2002).
    """

    label = "NSGA-II"
    serves_budgets = False
    finds_fronts = True

    @classmethod
    def check(cls, settings: SearchSettings) -> None:
        """Check that costs to minimise are given, and no settings of the evolution.

        Raises:
            UserError: a setting does not suit the algorithm.
        """
        if not settings.pareto:
            raise UserError(
                "search algorithm nsga2: give the costs to minimise in addition to the score, such "
                "as --pareto flops"
            )
        if settings.population < 2:
            raise UserError(
                f"search.population {settings.population}: must be at least 2, because nsga2 "
                "crosses two networks"
            )
        refuse_children(settings, "breeds every child by crossover and mutation")

    def propose(self, iteration: int, history: History) -> Mapping[Architecture, str]:
        """Propose children of the last generation, or at first the best known candidates."""
        if iteration == 0:
            return self._known(history)
        population = self.settings.population
        generations = [
            [p.architecture for p in history.proposals[start : start + population]]
            for start in range(0, len(history.proposals), population)
        ]
        study = self._study_of(generations, history)
        study.sampler = self._sampler(iteration)
        space = self.feasible.space
        distributions = make_distributions(space)
        children: dict[Architecture, str] = {}

        def bred() -> Architecture:
            return space.from_names(study.ask(distributions).params)

        self._breed(children, population, "nsga2", history, bred)
        return children

    def _known(self, history: History) -> Mapping[Architecture, str]:
        known = history.known_feasible() if self.settings.from_known else []
        if not known:
            return {}
        study = self._study_of([known], history)
        kept = self._sampler(0).select_parent(study, 1)
        return {self.feasible.space.from_names(trial.params): "known" for trial in kept}

    def _study_of(
        self, generations: Sequence[Sequence[Architecture]], history: History
    ) -> optuna.Study:
        """Make a study in memory of some generations."""
        costs = len(self.settings.pareto)
        directions = [StudyDirection.MAXIMIZE, *[StudyDirection.MINIMIZE] * costs]
        # All generations are of one size, by which Optuna numbers them: it counts trials.
        sampler = NSGAIISampler(population_size=max(2, len(generations[0])), seed=0)
        study = optuna.create_study(directions=directions, sampler=sampler)
        distributions = make_distributions(self.feasible.space)
        for generation in generations:
            (first, objectives), *others = history.values(generation).items()
            study.enqueue_trial(self.feasible.space.names(first))
            trial = study.ask(distributions)
            # Accessed because the sampler numbers the generation, and selects its parents, when it
            # samples parameters.
            _ = trial.relative_params
            study.tell(trial, objectives)
            # The others get the number of the first: sampling for each of them takes a time that
            # grows with the square of their number.
            numbered = study.get_trials(deepcopy=False)[-1].system_attrs
            study.add_trials(
                optuna.create_trial(
                    params=self.feasible.space.names(architecture),
                    distributions=distributions,
                    values=values,
                    system_attrs=numbered,
                )
                for architecture, values in others
            )
        return study

    def _sampler(self, generation: int) -> NSGAIISampler:
        settings = self.settings
        seed = int(generator(settings.seed, "nsga2", generation).integers(2**32))
        return NSGAIISampler(
            population_size=settings.population, mutation_prob=settings.mutation, seed=seed
        )
