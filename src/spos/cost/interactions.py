"""Chains of nodes for a stage whose choices change what others cost, such as two widths in a row.

Such a cost is no sum over the choices, but most choices interact with few others. Taken in order,
each choice adds what depends on its own option and on those of the choices before it that it
interacts with. So there is a node for each choice, and for each combination of options before it
that it or a later choice depends on.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from heapq import nlargest
from itertools import combinations, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spos.cost.node import Inside, Node, exchanged, spread
from spos.cost.part import Costs, Options

#: Most entries of all nodes, each of which is counted.
MOST = 2**12
#: Climbs to each extreme cost where costs are in no table.
CLIMBS = 4
#: Pairs of random combinations between which interactions are looked for, if extreme ones do not
#: suffice.
RANDOM = 2

Pairs = set[tuple[int, int]]
Entries = Mapping[Options, tuple[Costs, Node]]


def chain_up(node: Node, box: Sequence[Sequence[int]], inside: Inside) -> bool:
    """Replace a node by chains of nodes, one per choice, if tests confirm them.

    Args:
        node (Node): node with too many combinations of options to enumerate.
        box (Sequence[Sequence[int]]): options of each of its choices that occur at the node.
        inside (Inside): the options that each of its choices is inside of.

    Returns:
        Whether the node was replaced.
    """
    pairs: Pairs = {
        (min(k, outer), max(k, outer))
        for k, places in enumerate(inside)
        for options in places
        for outer in options
    }
    for number, (here, there) in enumerate(_contrasts(node.entries, box)):
        if not _is_small(box, pairs):
            return False
        for i, j in combinations(range(len(box)), 2):
            if (i, j) in pairs:
                continue
            # Two choices interact only where both are read.
            if both := _together(inside[i], inside[j]):
                active = exchanged(here, both[number % len(both)])
                if _interact(node.entries, active, {i: there[i], j: there[j]}):
                    # So does what decides that both are read.
                    together = sorted({i, j, *both[number % len(both)]})
                    pairs.update(combinations(together, 2))
        if _is_small(box, pairs) and (first := _chain(node, box, inside, pairs)) is not None:
            node.positions, node.entries = first.positions, first.entries
            node.__post_init__()
            return True
    return False


def climb(entries: Entries, box: Sequence[Sequence[int]]) -> None:
    """Count the neighbours of the most extreme combinations until none of them is more extreme.

    Args:
        entries (Mapping): costs and next node by options, counted on first access.
        box (Sequence[Sequence[int]]): options of each choice.
    """
    costs, _ = next(iter(entries.values()))
    for cost, sign in product(range(len(costs)), (1, -1)):

        def height(one: Options, cost: int = cost, sign: int = sign) -> int:
            return sign * entries[one][0][cost]

        for start in nlargest(CLIMBS, list(entries), key=height):
            now, before = start, None
            while now != before:
                before = now
                for place, options in enumerate(box):
                    near = (exchanged(now, {place: option}) for option in options)
                    now = max(now, *near, key=height)


def _contrasts(entries: Entries, box: Sequence[Sequence[int]]) -> Iterator[tuple[Options, Options]]:
    """Iterate over pairs of combinations that differ in every choice that can."""
    start = tuple(options[0] for options in box)

    def alone(place: int, option: int) -> Costs:
        return entries[exchanged(start, {place: option})][0]

    least, most = (
        tuple(best(options, key=partial(alone, place)) for place, options in enumerate(box))
        for best in (min, max)
    )
    yield least, most
    yield most, least
    random = np.random.default_rng(0)
    for _ in range(RANDOM):
        orders = [random.permutation(np.array(options)).tolist() for options in box]
        yield tuple(one[0] for one in orders), tuple(one[-1] for one in orders)


def _together(
    first: Sequence[Mapping[int, int]], second: Sequence[Mapping[int, int]]
) -> list[Mapping[int, int]]:
    """Return the options of others with which two choices are both read."""
    both = [
        {**x, **y}
        for x, y in product(first, second)
        if all(y.get(place, option) == option for place, option in x.items())
    ]
    return list({tuple(sorted(options.items())): options for options in both}.values())


def _interact(entries: Entries, here: Options, changed: Mapping[int, int]) -> bool:
    """Whether two changed options add another cost together than apart."""
    both, neither = entries[exchanged(here, changed)][0], entries[here][0]
    apart = [entries[exchanged(here, {place: option})][0] for place, option in changed.items()]
    return bool((np.array(both) + neither - np.sum(apart, axis=0)).any())


def _depends(count: int, pairs: Pairs) -> list[Options]:
    """Return for each choice those before it that it interacts with."""
    return [tuple(j for j in range(k) if (j, k) in pairs) for k in range(count)]


def _open(count: int, pairs: Pairs) -> list[Options]:
    """Return for each choice those before it that it or a later one interacts with."""
    last = [max([j, *(k for k in range(count) if (j, k) in pairs)]) for j in range(count)]
    return [tuple(j for j in range(k) if last[j] >= k) for k in range(count)]


def _is_small(box: Sequence[Sequence[int]], pairs: Pairs) -> bool:
    sizes = [*map(len, box)]
    # The choices that one depends on are among those that are open before it.
    before = enumerate(_open(len(box), pairs))
    return sum(math.prod(sizes[p] for p in (*places, k)) for k, places in before) <= MOST


def _chain(node: Node, box: Sequence[Sequence[int]], inside: Inside, pairs: Pairs) -> Node | None:
    """Build the nodes, and return the first; None if they do not cost what was counted."""
    entries, depends, open_ = node.entries, _depends(len(box), pairs), _open(len(box), pairs)
    start = tuple(options[0] for options in box)
    base, end = entries[start]
    following: dict[Options, Node] = {(): end}
    for place in reversed(range(len(box))):
        added = _added(entries, start, box, (*depends[place], place))
        if place == 0:
            added = {options: costs + base for options, costs in added.items()}
        later = open_[place + 1] if place + 1 < len(box) else ()
        nodes = {}
        for options in product(*(box[p] for p in open_[place])):
            state = dict(zip(open_[place], options, strict=True))
            table: dict[Options, tuple[Costs, Node]] = {}
            for option in box[place]:
                state[place] = option
                costs = added[tuple(state[p] for p in (*depends[place], place))]
                after = following[tuple(state[p] for p in later)]
                table[(option,)] = (tuple(costs.tolist()), after)
            nodes[options] = Node((node.order[0], place), (node.positions[place],), table)
        following = nodes
    first = following[()]
    for options in spread(box, inside):
        _ = entries[options]
    # All that was counted, not only what the nodes are made of.
    right = all(after is end and _walk(first, o) == (c, end) for o, (c, after) in entries.items())
    return first if right else None


def _added(
    entries: Entries, start: Options, box: Sequence[Sequence[int]], places: Options
) -> dict[Options, NDArray[Any]]:
    """Count what the last of some choices adds, for each combination of their options."""
    added = {}
    for options in product(*(box[place] for place in places)):
        with_it = exchanged(start, dict(zip(places, options, strict=True)))
        without = exchanged(with_it, {places[-1]: start[places[-1]]})
        added[options] = np.array(entries[with_it][0]) - entries[without][0]
    return added


def _walk(node: Node, options: Options) -> tuple[Costs, Node]:
    steps = []
    for option in options:
        costs, node = node.entries[(option,)]
        steps.append(costs)
    return tuple(map(sum, zip(*steps, strict=True))), node
