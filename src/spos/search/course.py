"""The course of a search: its populations so far, and the candidates still to evaluate."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import compress, islice

from spos._util.randomness import generator
from spos.search.algorithm import Algorithm
from spos.search.candidate import Proposal
from spos.search.history import History
from spos.space import Architecture


class Course:
    """The course of one search, a function only of its algorithm and of the scores.

    The order in which scores arrive has no effect, and known scores need no evaluation, so that a
    search that was killed resumes exactly.

    Args:
        algorithm (Algorithm): search algorithm.
        known (Mapping[Architecture, float] | None): scores known before the search was started, in
            the order in which they became known.

    Raises:
        UserError: no architecture is feasible.
    """

    def __init__(
        self, algorithm: Algorithm, known: Mapping[Architecture, float] | None = None
    ) -> None:
        self._algorithm = algorithm
        self.history = History(algorithm.feasible, algorithm.settings.pareto, known)
        self._propose(0)

    @property
    def total(self) -> int:
        """Expected number of candidates of the finished search."""
        planned = self._algorithm.population * self._algorithm.iterations
        feasible = self._algorithm.feasible.count
        return planned if feasible is None else min(planned, feasible)

    @property
    def exhausted(self) -> bool:
        """Whether the search ran out of feasible architectures."""
        return len(self.history.population) < self._algorithm.population

    def pending(self) -> list[Proposal]:
        """List the candidates to evaluate before the next population can be proposed, in order.

        Returns:
            Candidates of one population; empty if the search is finished.
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
        kept = compress(new, algorithm.feasible.satisfied(new))
        population = {one: proposed[one] for one in islice(kept, algorithm.population)}
        missing = algorithm.population - len(population)
        if missing and algorithm.fills:
            random = generator(algorithm.settings.seed, "population", iteration)
            drawn = algorithm.feasible.draw(missing, random, seen | population.keys())
            population |= dict.fromkeys(drawn, "random")
        history.population = [
            Proposal(architecture, iteration, position, origin)
            for position, (architecture, origin) in enumerate(population.items())
        ]
        history.proposals += history.population
