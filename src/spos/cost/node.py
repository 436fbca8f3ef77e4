"""Nodes of a cost table, and the combinations of options that reach them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, product
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from spos.cost.part import Costs, Options
from spos.space import Architecture

#: Most combinations of options that are told apart by an index instead of by sorting, and most
#: choices, which are dimensions to NumPy.
MAX_UNSORTED, MAX_INDEXED = 2**16, 64


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
    if math.prod(radices) > MAX_UNSORTED or len(radices) > MAX_INDEXED:
        options, which = np.unique(np.stack(columns, axis=1), axis=0, return_inverse=True)
        return options, which.reshape(-1)
    code = np.ravel_multi_index(columns, radices)
    occurs = np.bincount(code) > 0
    options = np.stack(np.unravel_index(np.flatnonzero(occurs), radices), axis=1)
    return options, (np.cumsum(occurs) - 1)[code]


#: Least and largest number of combinations on which to test what the cost of a stage is made of.
TESTED, MOST_TESTED = 32, 256
#: Random combinations of which the one is tested that adds most.
DRAWN = 8
#: For each choice of a node, where in the model it is read: the options of others of its choices
#: that it is inside of.
Inside = Sequence[Sequence[Mapping[int, int]]]


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


def spanned(boxes: Sequence[Sequence[Sequence[int]]]) -> list[Sequence[int]]:
    """Return the least product of options that contains all combinations of some boxes.

    Example:
        >>> spanned([[[0], range(2)], [[2], range(2)]])
        [[0, 2], [0, 1]]
    """
    return [sorted(set(chain(*columns))) for columns in zip(*boxes, strict=True)]


def exchanged(options: Options, changed: Mapping[int, int]) -> Options:
    """Return a combination with other options in some places.

    Example:
        >>> exchanged((0, 0, 0), {1: 2})
        (0, 2, 0)
    """
    return tuple(changed.get(place, option) for place, option in enumerate(options))


def add_up(
    node: Node,
    box: Sequence[Sequence[int]],
    groups: Sequence[Sequence[int]],
    inside: Inside,
    *,
    convert: bool = True,
) -> bool:
    """Replace a node by a chain of nodes, one per group, if its costs are a sum over groups.

    Args:
        node (Node): node with too many combinations of options to enumerate.
        box (Sequence[Sequence[int]]): options of each of its choices that occur at the node.
        groups (Sequence[Sequence[int]]): places of its choices, those that are known to depend on
            one another together.
        inside (Inside): the options that each of its choices is inside of.
        convert (bool): whether to replace the node; if False, random and extreme combinations are
            counted, but the node is kept.

    Returns:
        Whether the node was replaced.
    """
    start = tuple(options[0] for options in box)
    base, following = node.entries[start]

    def with_group(combination: Options, group: Sequence[int], options: Options) -> Options:
        return exchanged(combination, dict(zip(group, options, strict=True)))

    # The cost that the options of each group add while the other choices take their first option.
    alone = [
        {o: node.entries[with_group(start, group, o)] for o in product(*(box[p] for p in group))}
        for group in groups
    ]
    same = all(after is following for one in alone for _, after in one.values())
    added = [{o: np.array(costs) - base for o, (costs, _) in one.items()} for one in alone]
    tests = spread(box, inside)
    for best, cost in product((min, max), range(len(base))):
        extreme = start
        for group, column in zip(groups, added, strict=True):
            extreme = with_group(extreme, group, best(column, key=lambda o: column[o][cost]))
        tests.append(extreme)
    # Every combination is counted in any case, because the range uses the counted ones.
    for options in tests:
        costs, after = node.entries[options]
        parts = (
            column[tuple(options[place] for place in group)]
            for group, column in zip(groups, added, strict=True)
        )
        same = same and after is following and costs == tuple(sum(parts, np.array(base)).tolist())
    if not (same and convert):
        return False
    added[0] = {options: base + costs for options, costs in added[0].items()}
    after = following
    for number, (group, column) in reversed([*enumerate(zip(groups, added, strict=True))]):
        entries = {options: (tuple(costs.tolist()), after) for options, costs in column.items()}
        positions = tuple(node.positions[place] for place in group)
        after = Node((node.order[0], number), positions, entries)
    node.positions, node.entries = after.positions, after.entries
    node.__post_init__()
    return True


def spread(box: Sequence[Sequence[int]], inside: Inside) -> list[Options]:
    """Draw combinations in which any two options of two choices are read together.

    An option that changes what others cost, such as a stride, must not be missed by chance, nor two
    options that do so together alone, such as those with one weight. What is inside of the options
    of others is read where these are chosen; it counts in each place of the model by itself.
    """
    random = np.random.default_rng(0)
    # For each option of a choice in one place, the options that it takes to read it there.
    needs = {
        tuple(sorted({**place, choice: option}.items())): choice
        for choice, options in enumerate(box)
        for place in inside[choice]
        if all(one in box[outer] for outer, one in place.items())
        for option in options
    }
    needed = np.full((len(needs), len(box)), -1)
    for number, options in enumerate(needs):
        for choice, option in options:
            needed[number, choice] = option
    owner = np.array([*needs.values()])
    missing = owner[:, None] != owner[None, :]
    for column in needed.T:
        missing &= (column[:, None] < 0) | (column < 0) | (column[:, None] == column)
    found: dict[Options, None] = {}
    for count in range(MOST_TESTED):
        left = np.flatnonzero(missing)
        if count >= TESTED and not len(left):
            break
        rows = np.stack([random.choice(np.array(one), DRAWN) for one in box], axis=1)
        # Each begins with two that were not read together.
        for number in divmod(int(random.choice(left)), len(owner)) if len(left) else ():
            rows = np.where(needed[number] < 0, rows, needed[number])
        read = [np.flatnonzero(((needed < 0) | (needed == row)).all(axis=1)) for row in rows]
        most = max(range(DRAWN), key=lambda n: missing[np.ix_(read[n], read[n])].sum())
        missing[np.ix_(read[most], read[most])] = False
        found[tuple(rows[most].tolist())] = None
    return list(found)
