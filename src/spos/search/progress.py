"""Where a search stands: its populations so far, and what is still to be evaluated."""

from __future__ import annotations

from collections.abc import Mapping

from spos.search.evolution import Proposal, best, first_population, next_population
from spos.search.feasible import Feasible
from spos.search.settings import SearchSettings
from spos.space import Architecture


class Progress:
    """The course of one search, a function of its settings and of the accuracies alone.

    The order in which accuracies arrive changes nothing, and an accuracy that is known already
    need not be asked for: so a search that was killed goes on where it was.

    Args:
        feasible: what may be proposed.
        settings: of the search.
        known: accuracies known before the search began; an evolution starts from the best of them
            that are feasible, unless the settings say otherwise. First known comes first.
        endless: go on after the iterations of the settings.

    Raises:
        UserError: nothing is feasible.
    """

    def __init__(
        self,
        feasible: Feasible,
        settings: SearchSettings,
        known: Mapping[Architecture, float] | None = None,
        *,
        endless: bool = False,
    ) -> None:
        self.feasible = feasible
        self.settings = settings
        self.known = dict(known or {})
        self.accuracies = dict(self.known)
        self._endless = endless
        start: list[Architecture] = []
        if settings.algorithm != "random" and settings.from_known:
            candidates = list(self.known)
            within = feasible.satisfied(candidates)
            start = [a for a, satisfied in zip(candidates, within, strict=True) if satisfied]
        self.population = first_population(feasible, settings, self._fittest(start))
        self.proposals = list(self.population)

    @property
    def total(self) -> int:
        """How many candidates the search has when it is finished, as far as can be said."""
        budget = self.settings.population * self.settings.iterations
        return budget if self.feasible.count is None else min(budget, self.feasible.count)

    @property
    def exhausted(self) -> bool:
        """Whether no further architecture is feasible."""
        return len(self.population) < self.settings.population

    def pending(self) -> list[Proposal]:
        """The candidates to evaluate before anything further can be said, in order.

        Returns:
            Candidates of one population; nothing where the search is finished.
        """
        while True:
            missing = [p for p in self.population if p.architecture not in self.accuracies]
            iteration = len(self.proposals) // self.settings.population
            if missing or self.exhausted:
                return missing
            if iteration == self.settings.iterations and not self._endless:
                return []
            self.population = self._next(iteration)
            self.proposals += self.population

    def best(self) -> list[Proposal]:
        """The most accurate candidates so far, as many as are parents, best first."""
        evaluated = [p for p in self.proposals if p.architecture in self.accuracies]
        return best(evaluated, self.accuracies, self.settings.parents)

    def _fittest(self, known: list[Architecture]) -> list[Architecture]:
        """Known feasible architectures, those to begin with first."""
        return sorted(known, key=lambda architecture: -self.known[architecture])

    def _next(self, iteration: int) -> list[Proposal]:
        """The population after those that are evaluated."""
        return next_population(
            self.feasible,
            self.settings,
            iteration,
            [p.architecture for p in self.best()],
            {p.architecture for p in self.proposals},
        )
