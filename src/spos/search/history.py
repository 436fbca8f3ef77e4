"""What a search has proposed and learned so far."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from spos.search.candidate import Proposal
from spos.search.feasible import Feasible
from spos.search.front import Values, find_front
from spos.space import Architecture


class History:
    """Proposals, and the scores that are known of them.

    Args:
        feasible (Feasible): the architectures within the constraint.
        objectives (Sequence[str]): costs that are minimised beside the score.
        known (Mapping[Architecture, float]): scores known before the search began, first known
            first.
    """

    def __init__(
        self,
        feasible: Feasible,
        objectives: Sequence[str] = (),
        known: Mapping[Architecture, float] | None = None,
    ) -> None:
        self._feasible = feasible
        self._columns = [feasible.table.names.index(name) for name in objectives]
        self._values: dict[Architecture, Values] = {}
        self.known = dict(known or {})
        self.scores = dict(self.known)
        self.proposals: list[Proposal] = []
        self.population: list[Proposal] = []

    @property
    def seen(self) -> set[Architecture]:
        """Everything that was proposed."""
        return {proposal.architecture for proposal in self.proposals}

    def known_feasible(self) -> list[Architecture]:
        """Architectures within the constraint that were scored before the search began."""
        known = list(self.known)
        within = self._feasible.satisfied(known)
        return [one for one, satisfied in zip(known, within, strict=True) if satisfied]

    def best(self, count: int) -> list[Architecture]:
        """The best architectures that were proposed, best first."""
        return [proposal.architecture for proposal in self.top(count)]

    def top(self, count: int) -> list[Proposal]:
        """The best proposals, best first; of equals the cheaper, then the earlier one.

        Only costs that are minimised tell equals apart.
        """
        evaluated = self._evaluated()
        values = self.values(proposal.architecture for proposal in evaluated)

        def rank(proposal: Proposal) -> tuple[float, ...]:
            score, *costs = values[proposal.architecture]
            return (-score, *costs, proposal.iteration, proposal.position)

        return sorted(evaluated, key=rank)[:count]

    def front(self) -> list[Proposal]:
        """The proposals that no other one dominates, cheapest first."""
        evaluated = self._evaluated()
        values = self.values(proposal.architecture for proposal in evaluated)
        return [evaluated[n] for n in find_front(values[p.architecture] for p in evaluated)]

    def values(self, architectures: Iterable[Architecture]) -> dict[Architecture, Values]:
        """The objectives of scored architectures: the score, then each cost to minimise."""
        chosen = list(architectures)
        new = [one for one in chosen if one not in self._values]
        if new:
            rows = np.array(new, dtype=np.int64)
            costs = self._feasible.table.many(rows)[:, self._columns].tolist()
            for architecture, row in zip(new, costs, strict=True):
                self._values[architecture] = (self.scores[architecture], *row)
        return {architecture: self._values[architecture] for architecture in chosen}

    def _evaluated(self) -> list[Proposal]:
        return [p for p in self.proposals if p.architecture in self.scores]
