"""Derivation of feasible architectures from the probabilities of their options."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spos._util.randomness import generator
from spos.search.feasible import Feasible
from spos.space import Architecture

#: Number of feasible architectures that the search for the most probable one starts from.
STARTS = 32
#: Number of the best local optima that are improved further by changes of two options.
PAIRED = 4
#: Largest number of draws per requested architecture.
DRAWS = 200
#: Number of architectures that are processed together.
CHUNK = 4096


class Distribution:
    """A distribution over feasible architectures, with independent choices.

    Args:
        feasible (Feasible): architectures within a constraint.
        probabilities (Sequence[NDArray]): probabilities of the options of each choice, shape
            (options,).

    Example:
        >>> from spos.cost import Constraint, CostTable
        >>> from spos.spaces.shufflenetv2 import PRESETS, shufflenetv2
        >>> table = CostTable(shufflenetv2(PRESETS["tiny"], classes=10, image_channels=1))
        >>> feasible = Feasible(table.space, table, Constraint())
        >>> share = np.array([0.1, 0.2, 0.3, 0.4])
        >>> print(Distribution(feasible, [share] * len(table.space)).most_probable())
        3,3,3,3,3,3,3,3
    """

    def __init__(self, feasible: Feasible, probabilities: Sequence[NDArray[np.float64]]) -> None:
        self._feasible = feasible
        self._probabilities = [column / column.sum() for column in probabilities]
        # Options of probability 0 get a finite logarithm, so that they can be compared.
        self._logs = [np.log(np.maximum(column, 1e-300)) for column in self._probabilities]

    def log_probability(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Compute log probabilities.

        Args:
            rows (NDArray[np.int64]): option indices, shape (count, choices).

        Returns:
            Log probability of each row, shape (count,).
        """
        total = np.zeros(len(rows))
        for place, column in enumerate(self._logs):
            total += column[rows[:, place]]
        return total

    def most_probable(self) -> Architecture:
        """Find the most probable architecture within the constraint.

        If the most probable options together violate the constraint, small spaces are enumerated
        exactly; in larger ones the result is the best of several local optima, which no change of
        one or two options improves. The result is deterministic.

        Raises:
            UserError: no architecture satisfies the constraint.
        """
        best = np.array([[int(column.argmax()) for column in self._logs]])
        if self._feasible.within(best)[0]:
            return Architecture(best[0].tolist())
        return Architecture(self._order(self._optima(best))[0].tolist())

    def sample(self, count: int, random: np.random.Generator) -> list[Architecture]:
        """Draw different networks from the distribution, restricted to the constraint.

        If the distribution hardly ever satisfies the constraint, local optima near random feasible
        architectures fill the missing places.

        Raises:
            UserError: no architecture satisfies the constraint.
        """
        found: dict[Architecture, None] = {}
        drawn = 0
        while len(found) < count and drawn < DRAWS * count:
            columns = [random.choice(len(p), CHUNK, p=p) for p in self._probabilities]
            rows = np.stack(columns, axis=1)[: DRAWS * count - drawn]
            found |= self._networks(rows[self._feasible.within(rows)])
            drawn += len(rows)
        if len(found) < count:
            starts = np.array(self._feasible.draw(2 * count, random, found), dtype=np.int64)
            if len(starts):
                climbed = np.stack([self._climb(row, pairs=False) for row in starts])
                found |= self._networks(self._order(climbed)) | self._networks(self._order(starts))
        return list(found)[:count]

    def _networks(self, rows: NDArray[np.int64]) -> dict[Architecture, None]:
        """One architecture of each network, in the order of the rows."""
        return dict.fromkeys(map(self._feasible.space.canonical, rows.tolist()))

    def _order(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Sort rows by decreasing probability, and equally probable ones by their indices."""
        keys: list[NDArray[Any]] = [*rows.T[::-1], -self.log_probability(rows)]
        return np.asarray(rows[np.lexsort(keys)])

    def _optima(self, best: NDArray[np.int64]) -> NDArray[np.int64]:
        if self._feasible.all is not None and len(self._feasible.all):
            return self._feasible.all
        drawn = self._feasible.draw(STARTS, generator(0, "most probable"))
        starts = [np.array(one, dtype=np.int64) for one in drawn]
        # Further starts lie on the way from the unconstrained optimum to each feasible one, where
        # the options that cost the least probability are exchanged first.
        starts += [self._approach(best[0], row) for row in starts]
        climbed = self._order(np.unique([self._climb(row, pairs=False) for row in starts], axis=0))
        return np.stack([self._climb(row, pairs=True) for row in climbed[:PAIRED]])

    def _approach(self, best: NDArray[np.int64], row: NDArray[np.int64]) -> NDArray[np.int64]:
        losses = [
            column[better] - column[option]
            for column, better, option in zip(self._logs, best, row, strict=True)
        ]
        path = np.stack([best] * (len(row) + 1))
        for number, place in enumerate(np.argsort(losses, kind="stable"), 1):
            path[number:, place] = row[place]
        return np.asarray(path[int(np.argmax(self._feasible.within(path)))])

    def _climb(self, row: NDArray[np.int64], *, pairs: bool) -> NDArray[np.int64]:
        """Change options to more probable feasible ones until none improves the row."""
        while True:
            better = self._step(row, self._changes(row, 1))
            if better is None and pairs:
                better = self._step(row, self._changes(row, 2))
            if better is None:
                return row
            row = better

    def _step(self, row: NDArray[np.int64], changed: NDArray[np.int64]) -> NDArray[np.int64] | None:
        gains = self.log_probability(changed) - self.log_probability(row[None])
        # The margin excludes gains by rounding, which could make two rows each better than the
        # other.
        changed = self._order(changed[gains > 1e-9])
        for begin in range(0, len(changed), CHUNK):
            part = changed[begin : begin + CHUNK]
            within = np.flatnonzero(self._feasible.within(part))
            if len(within):
                return np.asarray(part[within[0]])
        return None

    def _changes(self, row: NDArray[np.int64], count: int) -> NDArray[np.int64]:
        """List all rows that differ in one option, or in two."""
        counts = np.array(self._feasible.space.option_counts)[:, None]
        every = np.arange(counts.max())
        places, options = np.nonzero((every < counts) & (every != row[:, None]))
        each = np.arange(len(places))
        chosen = np.stack(np.triu_indices(len(places), 1) if count == 2 else [each])
        apart = (np.diff(places[chosen], axis=0) != 0).all(axis=0)
        chosen = chosen[:, apart].T
        changed = np.repeat(row[None], len(chosen), axis=0)
        np.put_along_axis(changed, places[chosen], options[chosen], axis=1)
        return changed
