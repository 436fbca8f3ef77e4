"""The nodes of a cost table: from the options of a stage to their cost and the next node."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter

import numpy as np

from spos.cost.part import Costs, Options
from spos.space import Architecture

#: Random options on which it is tested whether the cost of a stage is a sum over its choices.
TESTED = 32


class Counted(dict[Options, tuple[Costs, "Node"]]):
    """Costs and the next node by options, each counted when it is first asked for."""

    def __init__(self, count: Callable[[Options], tuple[Costs, Node]]) -> None:
        super().__init__()
        self._count = count

    def __missing__(self, options: Options) -> tuple[Costs, Node]:
        entry = self[options] = self._count(options)
        return entry


class Node:
    """From the options at some positions to costs and the next node.

    Args:
        order: the number of the stage, and that of the node in it; nodes lead to later ones.
        positions: the choices that are read.
        entries: the costs and the next node by their options.
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

    def lead(
        self, positions: tuple[int, ...], entries: Mapping[Options, tuple[Costs, Node]]
    ) -> None:
        """Read other choices from now on."""
        self.positions = positions
        self.entries = entries
        # From an architecture to the options at the positions, as fast as can be.
        first, last = (positions[0], positions[-1] + 1) if positions else (0, 0)
        neighbours = positions == tuple(range(first, last))
        self.read: Callable[[Architecture], Options]
        self.read = itemgetter(slice(first, last)) if neighbours else itemgetter(*positions)


def add_up(node: Node, counts: Sequence[int], *, convert: bool = True) -> None:
    """Turn a node into a chain of nodes, one for each choice, if the costs are a sum over them.

    Args:
        node: of a stage whose options are too many to be enumerated.
        counts: of the options of each of its choices.
        convert: otherwise only the options are counted that are extreme one by one, and some.
    """
    zeros = (0,) * len(counts)
    base, following = node.entries[zeros]

    def alone(place: int, option: int) -> tuple[Costs, Node]:
        return node.entries[zeros[:place] + (option,) + zeros[place + 1 :]]

    # What each option adds, with the others at their first.
    added = [
        np.array([alone(place, option)[0] for option in range(options)]) - base
        for place, options in enumerate(counts)
    ]
    same = all(alone(p, o)[1] is following for p, n in enumerate(counts) for o in range(n))
    tests = np.random.default_rng(0).integers(counts, size=(TESTED, len(counts))).tolist()
    for best in (np.argmin, np.argmax):
        tests += np.stack([best(column, axis=0) for column in added], axis=1).tolist()
    # All of them are counted in any case: the range looks at what is counted.
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
