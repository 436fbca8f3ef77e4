"""Cost tables, which give the cost of any architecture of a supernet without building it.

The cost of a stage depends on its own options and on the shape of its input, which the stages
before it decide. The table is therefore a graph: a node is a stage with one input shape, and each
combination of the stage's options leads to a cost and to a node of the next stage. A stage may read
too many choices to enumerate their combinations, as in a model that is not a sequence. Its cost is
then represented as a sum over its choices, one node each (choices inside of the options of another
one share its node), if tests confirm that it is one, or, where choices interact, by chains of nodes
(:mod:`spos.cost.interactions`); otherwise it is counted on demand.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from itertools import chain, product, starmap
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils._pytree import tree_map_only

from spos._util.errors import UserError, check_kind
from spos.cost.count import default_counter
from spos.cost.interactions import chain_up, climb
from spos.cost.node import (
    Counted,
    Node,
    add_up,
    distinct_options,
    reachable_options,
    shared_places,
    spanned,
)
from spos.cost.part import Costs, Counter, Options, Part, first_identical, on_meta
from spos.nn.supernet import Supernet

#: Most combinations of options of one stage that are all counted when a table is built.
ENUMERATED = 256
#: The largest cost of a part: those of hundreds of parts are added up in 64 bits.
LARGEST = 10**16

Choose = Callable[[Iterable[int]], int]


class CostTable:
    """Costs of the stand-alone network of every architecture of a supernet.

    By default these are multiply-adds and parameters and, for supernets with quantised layers, bit
    operations and bits of parameters; ``names`` lists them.

    Args:
        supernet (Supernet): supernet to count; it is not modified.
        eager (bool): whether to count every option now instead of on first use.
        counter (Counter | None): counter of other costs; None counts the default ones.

    Raises:
        UserError: a stage does not run on the supernet's input shape.

    Example:
        >>> from torch import nn
        >>> from spos.nn import OneOf
        >>> model = nn.Sequential(OneOf({"3x3": nn.Conv2d(3, 8, 3), "1x1": nn.Conv2d(3, 8, 1)}))
        >>> table = CostTable(Supernet(model, (3, 10, 10)))
        >>> table.cost([0])
        {'flops': 13824, 'params': 224}
        >>> table.range()
        {'flops': (2400, 13824), 'params': (32, 224)}
    """

    def __init__(
        self, supernet: Supernet, *, eager: bool = True, counter: Counter | None = None
    ) -> None:
        check_kind(supernet, Supernet, "supernet", "a spos.Supernet of a model")
        self.space = supernet.space
        self._counter = counter or default_counter(supernet)
        self.names = self._counter.names
        self._meta = on_meta(supernet)
        self._first_identical = first_identical(self._meta)
        # The result of a stage, or its error, is reused for all identical stages.
        self._known: dict[tuple[int, str, Options], tuple[Costs, Any] | UserError] = {}
        self._end = Node((len(self._meta.stages), 0), (), {})
        # For each stage, its nodes by input shape.
        self._nodes: list[dict[str, Node]] = [{} for _ in self._meta.stages]
        self._root = self._node(0, torch.empty(1, *supernet.input_shape, device="meta"))
        self._built, self._on_demand = False, False
        if eager:
            self._build()

    def cost(self, architecture: Iterable[int]) -> dict[str, int]:
        """Return the costs of one architecture.

        Args:
            architecture (Iterable[int]): one option index per choice.

        Returns:
            Costs by name, such as ``{"flops": multiply-adds, "params": parameters}``.

        Raises:
            UserError: ``architecture`` is not in the space.
        """
        valid = self.space.validate(architecture)
        node, end, walk = self._root, self._end, []
        while node is not end:
            costs, node = node.entries[node.read(valid)]
            walk.append(costs)
        total: Callable[[Any], int] = max if self._counter.peak else sum
        return dict(zip(self.names, map(total, zip(*walk, strict=True)), strict=True))

    def stages(self, architecture: Iterable[int]) -> list[dict[str, Any]]:
        """Return the costs of each stage of one architecture.

        Args:
            architecture (Iterable[int]): one option index per choice.

        Returns:
            For each stage its ``name``, its ``choices`` (option name by choice name), and its costs
            by name.

        Raises:
            UserError: ``architecture`` is not in the space.
        """
        valid = self.space.validate(architecture)
        names = list(self.space.names(valid).items())
        stages: list[dict[str, Any]] = [
            {
                "name": stage.name,
                "choices": dict(names[position] for position in stage.choices),
                **dict.fromkeys(self.names, 0),
            }
            for stage in self._meta.stages
        ]
        node = self._root
        while node is not self._end:
            stage = stages[node.order[0]]
            costs, node = node.entries[node.read(valid)]
            for name, value in zip(self.names, costs, strict=True):
                stage[name] += value
        return stages

    def many(self, architectures: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the costs of many architectures.

        Args:
            architectures (NDArray[np.int64]): option indices, shape (count, number of choices).

        Returns:
            Costs in the order of :attr:`names`, shape (count, number of costs).

        Raises:
            UserError: the shape is wrong, or an option index is out of range.
        """
        self._check(architectures)
        total = np.zeros((len(architectures), len(self.names)), dtype=np.int64)
        join = np.maximum if self._counter.peak else np.add
        everything = np.arange(len(architectures))
        # The rows at each node. All rows are at one node as long as their shapes do not differ.
        at: dict[Node, Any] = {self._root: slice(None)} if len(total) else {}
        while at and (node := min(at)) is not self._end:
            rows = at.pop(node)
            here = architectures[rows]
            options, which = distinct_options(here, node.positions, self.space.option_counts)
            entries = [node.entries[tuple(row)] for row in options.tolist()]
            values = np.array([costs for costs, _ in entries])[which]
            total[rows] = join(total[rows], values)
            following = list(dict.fromkeys(after for _, after in entries))
            place = np.array([following.index(after) for _, after in entries])
            for number, after in enumerate(following):
                part = rows if len(following) == 1 else everything[rows][place[which] == number]
                at[after] = np.concatenate((at[after], part)) if after in at else part
        return total

    @property
    def on_demand(self) -> bool:
        """Whether the networks of a stage are counted one by one, in milliseconds each."""
        self._build()
        return self._on_demand

    def range(self) -> dict[str, tuple[int, int]]:
        """Return the smallest and the largest value of each cost over the space.

        The values are exact if every choice is read by one stage only, and outer bounds if stages
        share choices. If the options of a stage can neither be enumerated nor added up, the values
        are those of networks that no change of one choice makes more extreme.
        """
        self._build()
        return {name: (self._best(c, min), self._best(c, max)) for c, name in enumerate(self.names)}

    def _best(self, cost: int, choose: Choose) -> int:
        best = {self._root: 0}
        while (node := min(best)) is not self._end:
            so_far = best.pop(node)
            for costs, after in node.entries.values():
                value = max(so_far, costs[cost]) if self._counter.peak else so_far + costs[cost]
                best[after] = choose((value, best.get(after, value)))
        return best[node]

    def _check(self, architectures: NDArray[np.int64]) -> None:
        counts = np.array(self.space.option_counts)
        if architectures.ndim != 2 or architectures.shape[1] != len(counts):
            raise UserError(
                f"an array of shape {architectures.shape}: give option indices of shape (count, "
                f"{len(counts)})"
            )
        if ((architectures < 0) | (architectures >= counts)).any():
            raise UserError("an array with option indices that are out of range for their choices")

    def _node(self, number: int, value: Any) -> Node:
        """Return the node of a stage for an input shape, creating it without counting."""
        if number == len(self._nodes):
            return self._end
        shapes = str(tree_map_only(Tensor, lambda leaf: (tuple(leaf.shape), leaf.dtype), value))
        if shapes not in self._nodes[number]:
            counted = Counted(partial(self._entry, number, value, shapes))
            node = Node((number, 0), self._meta.stages[number].choices, counted)
            self._nodes[number][shapes] = node
        return self._nodes[number][shapes]

    def _entry(self, number: int, value: Any, shapes: str, options: Options) -> tuple[Costs, Node]:
        first = self._first_identical[number]
        key = (first if number or not self._counter.first_apart else -1, shapes, options)
        if key not in self._known:
            part = Part(self._meta, first, number, options, value)
            try:
                self._known[key] = self._count(part)
            except UserError as error:
                self._known[key] = error
        known = self._known[key]
        if isinstance(known, UserError):
            raise known.with_traceback(None)
        return known[0], self._node(number + 1, known[1])

    def _count(self, part: Part) -> tuple[Costs, Any]:
        costs, output = self._counter.count(part)
        try:
            # A user's own counter may return a number of numpy.
            whole = tuple(map(operator.index, costs))
        except TypeError:
            counted = ", ".join(
                f"{name} {value}" for name, value in zip(self.names, costs, strict=True)
            )
            raise UserError(
                f"a counter returned {counted}: costs are whole numbers; count in a smaller unit"
            ) from None
        for name, value in zip(self.names, whole, strict=True):
            if abs(value) > LARGEST:
                raise UserError(
                    f"{name} {value!s:.40} of stage '{part.stage.name}': no network has more than "
                    f"{LARGEST:.0e}; what it was counted by is wrong or damaged"
                )
        return whole, output

    def _build(self) -> None:
        if self._built:
            return
        read = [position for stage in self._meta.stages for position in stage.choices]
        # If a choice is read twice, some options never occur together with some input shapes.
        repeated = len(set(read)) < len(read)
        tolerant = suppress(*[UserError] if repeated else [])
        choices = [stage.choices for stage in self._meta.stages]
        # For each node, the options of repeated choices on the paths to it. Other options never
        # occur there, and most of them do not fit the shape, as with a width shared by two layers.
        leading: dict[Node, set[Options]] = {}
        # Those that are known where not all are.
        some: dict[Node, set[Options]] = {}
        for number, nodes in enumerate(self._nodes):
            again = shared_places(choices[number], choices[number - 1] if number else ())
            onward = shared_places(choices[number], *choices[number + 1 : number + 2])
            added_up = False
            after_all: dict[Node, set[Options]] = {}
            for node in nodes.values():
                counts = [self.space.option_counts[position] for position in node.positions]
                met = reachable_options(counts, again, leading.get(node))
                entries = node.entries
                if sum(math.prod(map(len, box)) for box in met) > ENUMERATED:
                    added_up = True
                    try:
                        self._add_up(node, spanned(met))
                    except UserError:
                        if not repeated:
                            raise
                        # Of the options of all, those of a shared choice fit another shape.
                        for box in reachable_options(counts, again, some.get(node)):
                            with tolerant:
                                self._add_up(node, box, convert=False)
                else:
                    for options in chain.from_iterable(starmap(product, met)):
                        with tolerant:
                            _ = node.entries[options]
                for met_options, (_, after) in entries.items():
                    shared = tuple(met_options[place] for place in onward)
                    after_all.setdefault(after, set()).add(shared)
            # If a stage is added up, the options that lead to the next nodes are only partly known.
            leading, some = ({}, after_all) if added_up else (after_all, {})
        # A tolerated error that affects every architecture is raised after all.
        self.cost([0] * len(self.space))
        self._built = True

    def _add_up(self, node: Node, box: list[Sequence[int]], *, convert: bool = True) -> None:
        convert = convert and not self._counter.peak
        groups = self.space.together(node.positions)
        small = all(math.prod(len(box[place]) for place in one) <= ENUMERATED for one in groups)
        apart = groups if small else [[place] for place in range(len(box))]
        places = {position: place for place, position in enumerate(node.positions)}
        inside = [
            [
                {places[outer]: option for outer, option in one.items() if outer in places}
                for one in self.space.inside(position)
            ]
            for position in node.positions
        ]
        if add_up(node, box, apart, inside, convert=convert and small):
            return
        if not (convert and chain_up(node, box, inside)):
            self._on_demand = True
            climb(node.entries, box)
