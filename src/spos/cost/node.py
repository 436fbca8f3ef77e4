"""Nodes of a cost table, which map the options of a stage to costs and the next node."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter

import numpy as np

from spos.cost.part import Costs, Options
from spos.space import Architecture

#: Random combinations on which to test whether the cost of a stage is a sum over its choices.
TESTED = 32


class Counted(dict[Options, tuple[Costs, "Node"]]):
    """Costs and next node by options, counted on first access."""

    def __init__(self, count: Callable[[Options], tuple[Costs, Node]]) -> None:
        super().__init__()
        self._count = count

    def __missing__(self, options: Options) -> tuple[Costs, Node]:
        entry = self[options] = self._count(options)
        return entry


class Node:
    """A mapping from the options of some choices to costs and the next node.

    Args:
        order (tuple[int, int]): number of the stage, and of the node in the stage; nodes lead to
            later ones.
        positions (tuple[int, ...]): positions of the choices that the node reads.
        entries (Mapping[Options, tuple[Costs, Node]]): costs and next node by options.
    """

    __slots__ = ("entries", "order", "positions", "read")

    def __init__(
        self,
        order: tuple[int, int],
        positions: tuple[int, ...],
        entries: Mapping[Options, tuple[Costs, Node]],
    ) -> None:
        self.order = order
        self.lead(positions, entries)

    def __lt__(self, other: Node) -> bool:
        return self.order < other.order

    def lead(
        self, positions: tuple[int, ...], entries: Mapping[Options, tuple[Costs, Node]]
    ) -> None:
        """Replace the choices and entries of the node."""
        self.positions = positions
        self.entries = entries
        # Searches call ``read`` often: a slice is faster than single positions.
        first, last = (positions[0], positions[-1] + 1) if positions else (0, 0)
        neighbours = positions == tuple(range(first, last))
        self.read: Callable[[Architecture], Options]
        self.read = itemgetter(slice(first, last)) if neighbours else itemgetter(*positions)


def add_up(node: Node, counts: Sequence[int], *, convert: bool = True) -> None:
    """Replace a node by a chain of nodes, one per choice, if its costs are a sum over choices.

    Args:
        node (Node): node with too many combinations of options to enumerate.
        counts (Sequence[int]): number of options of each of its choices.
        convert (bool): whether to replace the node; if False, random and extreme combinations are
            counted, but the node is kept.
    """
    zeros = (0,) * len(counts)
    base, following = node.entries[zeros]

    def alone(place: int, option: int) -> tuple[Costs, Node]:
        return node.entries[zeros[:place] + (option,) + zeros[place + 1 :]]

    # The cost that each option adds while the other choices take their first option.
    added = [
        np.array([alone(place, option)[0] for option in range(options)]) - base
        for place, options in enumerate(counts)
    ]
    same = all(alone(p, o)[1] is following for p, n in enumerate(counts) for o in range(n))
    tests = np.random.default_rng(0).integers(counts, size=(TESTED, len(counts))).tolist()
    for best in (np.argmin, np.argmax):
        tests += np.stack([best(column, axis=0) for column in added], axis=1).tolist()
    # Every combination is counted in any case, because the range uses the counted ones.
    for options in map(tuple, tests):
        costs, after = node.entries[options]
        total = base + sum(column[option] for column, option in zip(added, options, strict=True))
        same = same and after is following and costs == tuple(total.tolist())
    if not (same and convert):
        return
    added[0] += base
    after = following
    for place in reversed(range(len(counts))):
        column: dict[Options, tuple[Costs, Node]]
        column = {(o,): (tuple(costs), after) for o, costs in enumerate(added[place].tolist())}
        after = Node((node.order[0], place), node.positions[place : place + 1], column)
    node.lead(after.positions, after.entries)
