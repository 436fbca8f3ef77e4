"""The proposals of a search so far, and their scores."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from spos.search.candidate import Proposal
from spos.search.feasible import Feasible
from spos.search.front import Values, find_front
from spos.space import Architecture


class History:
    """The proposals of a search, and their scores.

    Args:
        feasible (Feasible): architectures within the constraint.
        objectives (Sequence[str]): names of the costs to minimise in addition to the score.
        known (Mapping[Architecture, float] | None): scores known before the search was started, in
            the order in which they became known.
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
        """All architectures that were proposed."""
        return {proposal.architecture for proposal in self.proposals}

    def known_feasible(self) -> list[Architecture]:
        """List the architectures within the constraint that were scored before the search."""
        known = list(self.known)
        within = self._feasible.satisfied(known)
        return [one for one, satisfied in zip(known, within, strict=True) if satisfied]

    def best(self, count: int) -> list[Architecture]:
        """List the best architectures that were proposed, best first.

        Args:
            count (int): largest number of architectures, at least 0.
        """
        return [proposal.architecture for proposal in self.top(count)]

    def top(self, count: int) -> list[Proposal]:
        """List the best proposals, best first.

        Among equal scores the one with the lower objective costs comes first, then the earlier one.

        Args:
            count (int): largest number of proposals, at least 0.
        """
        values = self._evaluated()

        def rank(proposal: Proposal) -> tuple[float, ...]:
            score, *costs = values[proposal]
            return (-score, *costs, proposal.iteration, proposal.position)

        return sorted(values, key=rank)[:count]

    def front(self) -> list[Proposal]:
        """List the proposals that no other proposal dominates, cheapest first."""
        values = self._evaluated()
        proposals = list(values)
        return [proposals[position] for position in find_front(values.values())]

    def values(self, architectures: Iterable[Architecture]) -> dict[Architecture, Values]:
        """Look up the objectives of scored architectures.

        Args:
            architectures (Iterable[Architecture]): scored architectures.

        Returns:
            The score followed by the costs to minimise, by architecture.
        """
        chosen = list(architectures)
        new = [one for one in chosen if one not in self._values]
        if new:
            rows = np.array(new, dtype=np.int64)
            costs = self._feasible.table.many(rows)[:, self._columns].tolist()
            for architecture, row in zip(new, costs, strict=True):
                self._values[architecture] = (self.scores[architecture], *row)
        return {architecture: self._values[architecture] for architecture in chosen}

    def _evaluated(self) -> dict[Proposal, Values]:
        evaluated = [p for p in self.proposals if p.architecture in self.scores]
        values = self.values(proposal.architecture for proposal in evaluated)
        return {proposal: values[proposal.architecture] for proposal in evaluated}
