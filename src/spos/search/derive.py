"""Architectures from the probabilities of their options, all of them within a constraint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spos._util.randomness import generator
from spos.search.feasible import ENUMERATED, Feasible
from spos.space import Architecture, SearchSpace

#: Feasible architectures that the search for the most probable one starts from.
STARTS = 32
#: Of these, after changes of one option, how many are changed in two at once.
PAIRED = 4
#: Architectures drawn for each one that is wanted, at most.
DRAWS = 200
#: Rows of architectures looked at together.
CHUNK = 4096


class Distribution:
    """Independent probabilities of the options of each choice, over a feasible set.

    Args:
        feasible: the architectures within a constraint.
        probabilities: of each choice those of its options.

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
        self._space: SearchSpace = feasible.space
        self._probabilities = [column / column.sum() for column in probabilities]
        # An option of probability 0 is the last resort, but one that can be compared.
        self._logs = [np.log(np.maximum(column, 1e-300)) for column in self._probabilities]

    def log_probability(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Of each row, shape (count, number of choices)."""
        total = np.zeros(len(rows))
        for place, column in enumerate(self._logs):
            total += column[rows[:, place]]
        return total

    def most_probable(self) -> Architecture:
        """The most probable architecture within the constraint.

        Where the most probable option of every choice does not satisfy it: in a space that can be
        enumerated, exactly the best; otherwise the best local one, which no change of one or two
        options betters, from several starts. Nothing about it is random.

        Raises:
            UserError: no architecture satisfies the constraint.
        """
        best = np.array([[int(column.argmax()) for column in self._logs]])
        if self._within(best)[0]:
            return Architecture(best[0].tolist())
        return Architecture(self._order(self._optima(best))[0].tolist())

    def sample(self, count: int, random: np.random.Generator) -> list[Architecture]:
        """Different architectures drawn from the distribution, those outside the constraint not.

        Where the distribution hardly ever meets the constraint, the most probable ones near
        feasible random ones take the place of those missing.

        Args:
            count: how many; fewer are found where there are no more.
            random: the source of randomness.

        Raises:
            UserError: no architecture satisfies the constraint.
        """
        found: dict[Architecture, None] = {}
        drawn = 0
        while len(found) < count and drawn < DRAWS * count:
            columns = [random.choice(len(p), CHUNK, p=p) for p in self._probabilities]
            rows = np.stack(columns, axis=1)[: DRAWS * count - drawn]
            self._add(rows[self._within(rows)], count, found)
            drawn += len(rows)
        if len(found) < count:
            starts = np.array(self._feasible.draw(2 * count, random, found), dtype=np.int64)
            if len(starts):
                climbed = np.stack([self._climb(row, pairs=False) for row in starts])
                self._add(self._order(climbed), count, found)
                self._add(self._order(starts), count, found)
        return list(found)

    def _add(self, rows: NDArray[np.int64], count: int, found: dict[Architecture, None]) -> None:
        for row in rows.tolist():
            if len(found) == count:
                return
            found[Architecture(row)] = None

    def _within(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        table, constraint = self._feasible.table, self._feasible.constraint
        return constraint.satisfied_many(table, table.many(rows))

    def _order(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Rows from the most probable on; equal ones in the order of their indices."""
        keys: list[NDArray[Any]] = [*rows.T[::-1], -self.log_probability(rows)]
        ordered: NDArray[np.int64] = rows[np.lexsort(keys)]
        return ordered

    def _optima(self, best: NDArray[np.int64]) -> NDArray[np.int64]:
        if self._space.size <= ENUMERATED:
            indices = np.arange(self._space.size)
            rows = np.stack(np.unravel_index(indices, self._space.option_counts), axis=1)
            inside: NDArray[np.int64] = rows[self._within(rows)]
            if len(inside):
                return inside
        drawn = self._feasible.draw(STARTS, generator(0, "most probable"))
        starts = [np.array(one, dtype=np.int64) for one in drawn]
        # What is left of the best one when its options give way to those of a feasible one, those
        # first that cost the least probability.
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
        first: NDArray[np.int64] = path[int(np.argmax(self._within(path)))]
        return first

    def _climb(self, row: NDArray[np.int64], *, pairs: bool) -> NDArray[np.int64]:
        """Change options for more probability as long as that leads to a feasible one."""
        while True:
            better = self._step(row, self._changes(row))
            if better is None and pairs:
                better = self._step(row, self._paired_changes(row))
            if better is None:
                return row
            row = better

    def _step(self, row: NDArray[np.int64], changed: NDArray[np.int64]) -> NDArray[np.int64] | None:
        gains = self.log_probability(changed) - self.log_probability(row[None])
        # Rounding is no gain: without the margin two rows may each seem better than the other.
        changed = self._order(changed[gains > 1e-9])
        for begin in range(0, len(changed), CHUNK):
            part = changed[begin : begin + CHUNK]
            within = np.flatnonzero(self._within(part))
            if len(within):
                found: NDArray[np.int64] = part[within[0]]
                return found
        return None

    def _changes(self, row: NDArray[np.int64]) -> NDArray[np.int64]:
        """All rows that differ in one option."""
        places, options = self._alternatives(row)
        changed = np.repeat(row[None], len(places), axis=0)
        changed[np.arange(len(places)), places] = options
        return changed

    def _paired_changes(self, row: NDArray[np.int64]) -> NDArray[np.int64]:
        """All rows that differ in two options."""
        places, options = self._alternatives(row)
        first, second = np.triu_indices(len(places), 1)
        apart = places[first] != places[second]
        first, second = first[apart], second[apart]
        changed = np.repeat(row[None], len(first), axis=0)
        each = np.arange(len(first))
        changed[each, places[first]] = options[first]
        changed[each, places[second]] = options[second]
        return changed

    def _alternatives(self, row: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        pairs = [
            (place, option)
            for place, count in enumerate(self._space.option_counts)
            for option in range(count)
            if option != row[place]
        ]
        return tuple(np.array(pairs, dtype=np.int64).reshape(-1, 2).T)
