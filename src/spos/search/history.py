"""The proposals of a search so far, their scores, and the front of those."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import compress

import numpy as np

from spos.search.candidate import Proposal
from spos.search.feasible import Feasible
from spos.space import Architecture

#: A score to maximise, and then costs to minimise.
Values = tuple[float, ...]


def find_front(points: Iterable[Values]) -> list[int]:
    """Find the points that no other point dominates.

    A point dominates another one if its score is at least as high, every cost at least as low, and
    one of them differs. Of equal points only the first is kept.

    Args:
        points (Iterable[Values]): a score followed by costs, one tuple per point.

    Returns:
        Positions of the points, by cost (the first one, then the next) and then by score.

    Example:
        >>> find_front([(0.8, 20), (0.9, 30), (0.7, 25), (0.8, 20), (0.6, 10)])
        [4, 0, 1]
    """
    values = np.array([(-score, *costs) for score, *costs in points], dtype=np.float64)
    if len(values) == 0:
        return []
    # Sorted by cost, then by decreasing score, then by position.
    order = np.lexsort((np.arange(len(values)), values[:, 0], *values[:, :0:-1].T))
    kept: list[int] = []
    for position in order.tolist():
        # A dominating point costs at most as much, so it comes first in the order.
        if not kept or not (values[kept] <= values[position]).all(axis=1).any():
            kept.append(position)
    return kept


class History:
    """The proposals of a search, and their scores.

    Args:
        feasible (Feasible): architectures within the constraint.
        objectives (Sequence[str]): names of the costs to minimise in addition to the score.
        known (Mapping[Architecture, float] | None): scores known before the search was started, in
            the order in which they became known.

    Attributes:
        scores (dict[Architecture, float]): scores so far; of those in ``dropped`` estimates.
        dropped (dict[Architecture, int]): number of validation images that a candidate was scored
            on, of those that were dropped in a race.
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
        self.dropped: dict[Architecture, int] = {}
        self.proposals: list[Proposal] = []
        self.population: list[Proposal] = []

    @property
    def seen(self) -> set[Architecture]:
        """All architectures that were proposed."""
        return {proposal.architecture for proposal in self.proposals}

    def known_feasible(self) -> list[Architecture]:
        """List the architectures within the constraint that were scored before the search."""
        known = list(self.known)
        return list(compress(known, self._feasible.satisfied(known)))

    def best(self, count: int) -> list[Architecture]:
        """List the best architectures that were proposed, best first.

        Args:
            count (int): largest number of architectures, at least 0.
        """
        return [proposal.architecture for proposal in self.top(count)]

    def top(self, count: int) -> list[Proposal]:
        """List the best proposals, best first.

        Among equal scores the one with the lower objective costs comes first, then the earlier one.
        Candidates that were dropped come last.

        Args:
            count (int): largest number of proposals, at least 0.
        """
        values = self._evaluated()

        def rank(proposal: Proposal) -> tuple[float, ...]:
            score, *costs = values[proposal]
            dropped = proposal.architecture in self.dropped
            return (dropped, -score, *costs, proposal.iteration, proposal.position)

        return sorted(values, key=rank)[:count]

    def rival(self, count: int) -> Architecture | None:
        """Find the candidate that the next ones have to beat to be among the best.

        Args:
            count (int): number of the best, at least 1.

        Returns:
            The last of the best; None while fewer were scored on all images.
        """
        best = self.best(count)
        return best[-1] if len(best) == count and best[-1] not in self.dropped else None

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
