"""Search by Optuna's tree-structured Parzen estimator, which models what good candidates share."""

from __future__ import annotations

from collections.abc import Mapping

import optuna
from optuna.samplers import TPESampler

from spos._util.randomness import generator
from spos.search.algorithm import ALGORITHMS, Algorithm, refuse_children
from spos.search.history import History
from spos.search.settings import SearchSettings
from spos.search.study import make_distributions
from spos.space import Architecture


@ALGORITHMS.register("tpe")
class Tpe(Algorithm):
    """Search by Optuna's TPE, restricted to new and feasible candidates.

    Every population is drawn from a fresh study in memory with all former candidates, by a sampler
    seeded by the number of the population, so that proposals depend only on the scores. Candidates
    of the same population, which have no scores yet, count as bad ones for those after them: this
    keeps a population apart.

    Source: Watanabe, Tree-Structured Parzen Estimator, 2023, with all choices in one estimator.
    """

    label = "TPE"
    unused = ("mutation",)

    @classmethod
    def check(cls, settings: SearchSettings) -> None:
        """Check that no settings of the evolution are given.

        Raises:
            UserError: a setting does not suit the algorithm.
        """
        super().check(settings)
        refuse_children(settings, "draws every network from its estimator")

    def propose(self, iteration: int, history: History) -> Mapping[Architecture, str]:
        """Propose draws from the estimator of the good candidates so far."""
        if iteration == 0:
            return self._best_known(history)
        space = self.feasible.space
        distributions = make_distributions(space)
        seed = int(generator(self.settings.seed, "tpe", iteration).integers(2**32))
        sampler = TPESampler(n_startup_trials=0, multivariate=True, constant_liar=True, seed=seed)
        study = optuna.create_study(direction="maximize", sampler=sampler)
        study.add_trials(
            optuna.create_trial(
                params=space.names(proposal.architecture),
                distributions=distributions,
                value=history.scores[proposal.architecture],
            )
            for proposal in history.proposals
        )
        children: dict[Architecture, str] = {}

        def drawn() -> Architecture:
            return space.from_names(study.ask(distributions).params)

        self._breed(children, self.population, "tpe", history, drawn)
        return children
