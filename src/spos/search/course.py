"""Where a search stands: the populations so far, and what is still to be evaluated."""

from __future__ import annotations

from collections.abc import Mapping

from spos._util.randomness import generator
from spos.search.algorithm import Algorithm
from spos.search.candidate import Proposal
from spos.search.history import History
from spos.space import Architecture


class Course:
    """The course of one search, a function of its algorithm and of the scores alone.

    The order in which scores arrive changes nothing, and a score that is known already need not be
    asked for: so a search that was killed goes on where it was.

    Args:
        algorithm (Algorithm): what proposes the candidates.
        known (Mapping[Architecture, float]): scores known before the search began, first known
            first.

    Raises:
        UserError: nothing is feasible.
    """

    def __init__(
        self, algorithm: Algorithm, known: Mapping[Architecture, float] | None = None
    ) -> None:
        self._algorithm = algorithm
        self.history = History(algorithm.feasible, algorithm.settings.pareto, known)
        self._propose(0)

    @property
    def total(self) -> int:
        """How many candidates the search has when it is finished, as far as can be said."""
        planned = self._algorithm.population * self._algorithm.iterations
        feasible = self._algorithm.feasible.count
        return planned if feasible is None else min(planned, feasible)

    @property
    def exhausted(self) -> bool:
        """Whether no further architecture is feasible."""
        return len(self.history.population) < self._algorithm.population

    def pending(self) -> list[Proposal]:
        """The candidates to evaluate before anything further can be said, in order.

        Returns:
            Candidates of one population; none where the search is finished.
        """
        history = self.history
        while True:
            missing = [p for p in history.population if p.architecture not in history.scores]
            iteration = len(history.proposals) // self._algorithm.population
            if missing or self.exhausted:
                return missing
            if iteration == self._algorithm.iterations:
                return []
            self._propose(iteration)

    def _propose(self, iteration: int) -> None:
        algorithm, history = self._algorithm, self.history
        seen = history.seen
        proposed = algorithm.propose(iteration, history)
        new = [architecture for architecture in proposed if architecture not in seen]
        population = {
            architecture: proposed[architecture]
            for architecture, within in zip(new, algorithm.feasible.satisfied(new), strict=True)
            if within
        }
        population = dict(list(population.items())[: algorithm.population])
        missing = algorithm.population - len(population)
        if missing and algorithm.fills:
            random = generator(algorithm.settings.seed, "population", iteration)
            for architecture in algorithm.feasible.draw(missing, random, seen | population.keys()):
                population[architecture] = "random"
        history.population = [
            Proposal(architecture, iteration, position, origin)
            for position, (architecture, origin) in enumerate(population.items())
        ]
        history.proposals += history.population
