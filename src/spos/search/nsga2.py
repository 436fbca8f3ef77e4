"""The next generation of NSGA-II, by Optuna's sampler and within the constraint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

import optuna
from optuna.samplers import NSGAIISampler
from optuna.trial import FrozenTrial, TrialState

from spos._util.randomness import generator
from spos.search.evolution import Proposal
from spos.search.feasible import Feasible
from spos.search.settings import SearchSettings
from spos.search.study import distributions, objective_directions
from spos.space import Architecture

Values = tuple[float, ...]


class Generations:
    """The course of NSGA-II: from the values of all generations so far to the next one.

    A function of the settings and of those values alone. The sampler is made anew for every
    generation, with a seed that derives from the seed of the search and the number of the
    generation; the study it reads is in memory and holds what was handed over.

    Args:
        feasible: what may be proposed.
        settings: of the search; ``mutation`` is the probability of redrawing an option.

    Source: Deb et al., A fast and elitist multiobjective genetic algorithm: NSGA-II (2002).
    """

    def __init__(self, feasible: Feasible, settings: SearchSettings) -> None:
        self._feasible, self._settings = feasible, settings
        space = feasible.space
        self._space = space
        self._distributions = distributions(space)
        # Optuna crosses what can differ, and nothing else.
        self._free = {
            c.name: self._distributions[c.name] for c in space.choices if len(c.options) > 1
        }
        self._study = self._new_study()

    def fittest(self, values: Mapping[Architecture, Values]) -> list[Architecture]:
        """The members of a population that NSGA-II keeps: by rank, then by crowding distance.

        Args:
            values: of each member: the accuracy, then the costs.
        """
        study = self._new_study()
        self._add(study, list(values), values, 0)
        kept = self._sampler(0).select_parent(study, 1)
        return [self._space.from_names(trial.params) for trial in kept]

    def following(
        self,
        generation: int,
        population: Sequence[Architecture],
        values: Mapping[Architecture, Values],
        seen: Set[Architecture],
    ) -> list[Proposal]:
        """The generation that follows an evaluated one.

        Every child is new and feasible: others are dropped before anything is evaluated, and
        where too few are found in the tries of the settings, random candidates take their places.

        Args:
            generation: which one, from 1; they are asked for in order.
            population: of the generation before it.
            values: of each member of the population: the accuracy, then the costs.
            seen: all that were proposed before.

        Returns:
            As many proposals as the population has, fewer where no more are feasible.
        """
        settings = self._settings
        self._add(self._study, population, values, generation - 1)
        # Loaded anew: a study that is not asked for trials keeps those that it read first.
        study = optuna.load_study(study_name=self._study.study_name, storage=self._study._storage)
        sampler = self._sampler(generation)
        parents = sampler.get_parent_population(study, generation)
        trial = optuna.trial.create_trial(
            state=TrialState.RUNNING, system_attrs={_generation_key(): generation}
        )
        children: dict[Architecture, str] = {}
        for _ in range(settings.tries if parents else 0):
            missing = settings.population - len(children)
            if missing == 0:
                break
            bred = [self._child(sampler, study, trial) for _ in range(missing)]
            for child, within in zip(bred, self._feasible.satisfied(bred), strict=True):
                if within and child not in seen:
                    children.setdefault(child, "nsga2")
        missing = settings.population - len(children)
        fresh = generator(settings.seed, "population", generation)
        for architecture in self._feasible.draw(missing, fresh, seen | children.keys()):
            children[architecture] = "random"
        return [
            Proposal(architecture, generation, position, origin)
            for position, (architecture, origin) in enumerate(children.items())
        ]

    def _child(
        self, sampler: NSGAIISampler, study: optuna.Study, trial: FrozenTrial
    ) -> Architecture:
        names = sampler.sample_relative(study, trial, self._free)
        for name, distribution in self._distributions.items():
            # What the sampler leaves out of a child is what its mutation redraws.
            if name not in names:
                names[name] = sampler.sample_independent(study, trial, name, distribution)
        return self._space.from_names(names)

    def _sampler(self, generation: int) -> NSGAIISampler:
        settings = self._settings
        seed = int(generator(settings.seed, "nsga2", generation).integers(2**32))
        return NSGAIISampler(
            population_size=settings.population, mutation_prob=settings.mutation, seed=seed
        )

    def _new_study(self) -> optuna.Study:
        return optuna.create_study(
            storage=optuna.storages.InMemoryStorage(),
            directions=objective_directions(len(self._settings.pareto)),
        )

    def _add(
        self,
        study: optuna.Study,
        population: Sequence[Architecture],
        values: Mapping[Architecture, Values],
        generation: int,
    ) -> None:
        for architecture in population:
            study.add_trial(
                optuna.trial.create_trial(
                    params=self._space.names(architecture),
                    distributions=self._distributions,
                    values=values[architecture],
                    system_attrs={_generation_key(): generation},
                )
            )


def _generation_key() -> str:
    # Where the sampler of Optuna looks for the generation of a trial.
    return NSGAIISampler._get_generation_key()
