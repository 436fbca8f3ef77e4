"""Nodes of a cost table, and the combinations of options that reach them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from spos.cost.part import Costs, Options
from spos.space import Architecture

#: Most combinations of options that are told apart by an index instead of by sorting.
MAX_UNSORTED = 2**16


def shared_places(choices: Options, others: Options = ()) -> Options:
    """Return the indices of those choices that also occur in ``others``."""
    return tuple(place for place, position in enumerate(choices) if position in others)


def reachable_options(
    counts: Sequence[int], places: Options, leading: set[Options] | None
) -> list[list[Sequence[int]]]:
    """Return the combinations of options that can occur at a node.

    Args:
        counts (Sequence[int]): number of options of each choice that the node reads.
        places (Options): indices of the choices that the stage before reads as well.
        leading (set[Options] | None): options of those choices on the paths to the node; None
            allows all options.

    Returns:
        Disjoint sets of combinations, each the product of the options of every choice.
    """
    boxes: list[list[Sequence[int]]] = []
    for given in leading or [()]:
        fixed = dict(zip(places, given, strict=bool(leading)))
        boxes.append([[fixed[p]] if p in fixed else range(n) for p, n in enumerate(counts)])
    return boxes


def distinct_options(
    architectures: NDArray[np.int64], positions: Sequence[int], counts: Sequence[int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the distinct combinations of options at some positions.

    Args:
        architectures (NDArray[np.int64]): option indices, shape (count, number of choices).
        positions (Sequence[int]): positions of the choices to look at.
        counts (Sequence[int]): number of options of each choice of the space.

    Returns:
        The distinct combinations, and for each row the index of its combination.
    """
    if not positions:
        return np.zeros((1, 0), dtype=np.int64), np.zeros(len(architectures), dtype=np.int64)
    columns = [architectures[:, position] for position in positions]
    radices = [counts[position] for position in positions]
    if math.prod(radices) > MAX_UNSORTED:
        options, which = np.unique(np.stack(columns, axis=1), axis=0, return_inverse=True)
        return options, which.reshape(-1)
    code = np.ravel_multi_index(columns, radices)
    occurs = np.bincount(code) > 0
    options = np.stack(np.unravel_index(np.flatnonzero(occurs), radices), axis=1)
    return options, (np.cumsum(occurs) - 1)[code]


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


@dataclass(eq=False)
class Node:
    """A mapping from the options of some choices to costs and the next node.

    Args:
        order (tuple[int, int]): number of the stage, and of the node in the stage; nodes lead to
            later ones.
        positions (tuple[int, ...]): positions of the choices that the node reads.
        entries (Mapping[Options, tuple[Costs, Node]]): costs and next node by options.
    """

    order: tuple[int, int]
    positions: tuple[int, ...]
    entries: Mapping[Options, tuple[Costs, Node]]

    def __post_init__(self) -> None:
        # Searches call ``read`` often: a slice is faster than single positions.
        first, last = (self.positions[0], self.positions[-1] + 1) if self.positions else (0, 0)
        neighbours = self.positions == tuple(range(first, last))
        self.read: Callable[[Architecture], Options]
        self.read = itemgetter(slice(first, last)) if neighbours else itemgetter(*self.positions)

    def __lt__(self, other: Node) -> bool:
        return self.order < other.order


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
    node.positions, node.entries = after.positions, after.entries
    node.__post_init__()
