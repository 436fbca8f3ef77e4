"""The cost of any path of a supernet as a walk through a table built once.

A stage's cost depends on its own options and on the shape of its input, which the stages before it
decide. So the table is a graph: a node is a stage at one shape of its input, from where the options
of the stage lead to their cost and to a node of the next stage. Where a stage reads so many choices
that its options cannot be enumerated (a model that is no sequence), its cost is a sum over the
choices, a node for each, if tests bear that out, and else counted when it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils._pytree import tree_map

from spos._util.errors import UserError
from spos.cost.combinations import Met, common, distinct
from spos.cost.count import Counting
from spos.cost.likeness import kinds
from spos.cost.node import Counted, Node, add_up
from spos.cost.part import Costs, Counter, Options, Part, on_meta
from spos.nn.supernet import Supernet

#: The most combinations of options of one stage that are counted one by one when a table is built.
ENUMERATED = 256

Choose = Callable[[Iterable[int]], int]


class CostTable:
    """Multiply-adds and parameters of the stand-alone network of every architecture.

    Where layers are quantised, also bit operations and bits: ``names`` says which costs there are.

    Args:
        supernet: the supernet; it is left as it is.
        eager: count every option now; otherwise each when it is first asked for.
        counter: what is counted; multiply-adds and parameters, and what they come to in bits,
            without it.

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
        self.space = supernet.space
        self._counter = counter or Counting(supernet)
        self.names = self._counter.names
        # Of some counters, what a network costs once is a part of the costs of its first stage.
        self._first_apart = getattr(self._counter, "first_apart", False)
        self._meta = on_meta(supernet)
        self._kinds = kinds(self._meta)
        # Costs and output, or what is wrong, of the first stage of a kind serve all that are alike.
        self._known: dict[tuple[int, str, Options], tuple[Costs, Any] | UserError] = {}
        self._end = Node((len(self._meta.stages), 0), (), {})
        # The nodes of each stage by the shape of their input.
        self._nodes: list[dict[str, Node]] = [{} for _ in self._meta.stages]
        self._root = self._node(0, torch.empty(1, *supernet.input_shape, device="meta"))
        self._built = False
        if eager:
            self._build()

    def cost(self, architecture: Iterable[int]) -> dict[str, int]:
        """The costs of one architecture.

        Args:
            architecture: a point of the space.

        Returns:
            ``{"flops": multiply-adds, "params": parameters}``, or more costs (:attr:`names`).

        Raises:
            UserError: it is not a point of the space.
        """
        valid = self.space.validate(architecture)
        node, end, walk = self._root, self._end, []
        while node is not end:
            costs, node = node.entries[node.read(valid)]
            walk.append(costs)
        total: Callable[[Any], int] = max if self._counter.peak else sum
        return dict(zip(self.names, map(total, zip(*walk, strict=True)), strict=True))

    def stages(self, architecture: Iterable[int]) -> list[dict[str, Any]]:
        """One architecture stage by stage.

        Args:
            architecture: a point of the space.

        Returns:
            Of each stage its ``name``, the ``choices`` that it reads (option by name), and costs.

        Raises:
            UserError: it is not a point of the space.
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
        """The costs of many architectures at once.

        Args:
            architectures: option indices, shape (count, number of choices).

        Returns:
            Costs in the order of :attr:`names`, shape (count, number of costs).

        Raises:
            UserError: a row is not a point of the space.
        """
        self._check(architectures)
        total = np.zeros((len(architectures), len(self.names)), dtype=np.int64)
        join = np.maximum if self._counter.peak else np.add
        everything = np.arange(len(architectures))
        # Which rows are at which node: all at the same one, as long as shapes do not differ.
        at: dict[Node, Any] = {self._root: slice(None)} if len(total) else {}
        while at:
            node = min(at, key=lambda node: node.order)
            rows = at.pop(node)
            if node is self._end:
                break
            here = architectures[rows]
            options, which = distinct(here, node.positions, self.space.option_counts)
            entries = [node.entries[tuple(row)] for row in options.tolist()]
            values = np.array([costs for costs, _ in entries])[which]
            total[rows] = join(total[rows], values)
            following = list(dict.fromkeys(after for _, after in entries))
            place = np.array([following.index(after) for _, after in entries])
            for number, after in enumerate(following):
                part = rows if len(following) == 1 else everything[rows][place[which] == number]
                at[after] = np.concatenate((at[after], part)) if after in at else part
        return total

    def range(self) -> dict[str, tuple[int, int]]:
        """The least and the largest of each cost over the space.

        Exact where every choice is read by one stage alone; bounds where stages share choices.
        Where the options of a stage can neither be enumerated nor be added up, it is over random
        ones and those that are extreme one by one.
        """
        self._build()
        return {name: (self._best(c, min), self._best(c, max)) for c, name in enumerate(self.names)}

    def _best(self, cost: int, choose: Choose) -> int:
        best = {self._root: 0}
        while True:
            node = min(best, key=lambda node: node.order)
            so_far = best.pop(node)
            if node is self._end:
                return so_far
            for costs, after in node.entries.values():
                value = max(so_far, costs[cost]) if self._counter.peak else so_far + costs[cost]
                best[after] = choose((value, best.get(after, value)))

    def _check(self, architectures: NDArray[np.int64]) -> None:
        counts = np.array(self.space.option_counts)
        if architectures.ndim != 2 or architectures.shape[1] != len(counts):
            raise UserError(
                f"an array of shape {architectures.shape}: give option indices of shape (count, "
                f"{len(counts)})"
            )
        if len(architectures) and (
            architectures.min() < 0 or (architectures.max(axis=0) >= counts).any()
        ):
            raise UserError("an array with option indices that are out of range for their choices")

    def _node(self, number: int, value: Any) -> Node:
        """The node of a stage for an input, which does not count anything yet."""
        if number == len(self._nodes):
            return self._end
        shapes = str(tree_map(_shape, value))
        if shapes not in self._nodes[number]:
            counted = Counted(partial(self._entry, number, value, shapes))
            node = Node((number, 0), self._meta.stages[number].choices, counted)
            self._nodes[number][shapes] = node
        return self._nodes[number][shapes]

    def _entry(self, number: int, value: Any, shapes: str, options: Options) -> tuple[Costs, Node]:
        key = self._kinds[number] if number or not self._first_apart else -1, shapes, options
        if key not in self._known:
            self._known[key] = self._count(number, value, options)
        known = self._known[key]
        if isinstance(known, UserError):
            raise known.with_traceback(None)
        return known[0], self._node(number + 1, known[1])

    def _count(self, number: int, value: Any, options: Options) -> tuple[Costs, Any] | UserError:
        part = Part(self._meta, self._kinds[number], number, options, value)
        try:
            return self._counter(part)
        except UserError as error:
            return error

    def _build(self) -> None:
        if self._built:
            return
        read = [position for stage in self._meta.stages for position in stage.choices]
        # A stage that reads a choice again never meets some of the shapes with some of its options.
        tolerant: AbstractContextManager[Any] = nullcontext()
        if len(set(read)) < len(read):
            tolerant = suppress(UserError)
        choices = [stage.choices for stage in self._meta.stages]
        # From a node to the options that lead there, of the choices that it reads again. The others
        # are never met, and most of them do not fit the shape, as of a width that two layers read.
        leading: dict[Node, set[Options]] = {}
        for number, nodes in enumerate(self._nodes):
            again = common(choices[number], choices[number - 1] if number else ())
            onward = common(choices[number], *choices[number + 1 : number + 2])
            added_up = False
            for node in nodes.values():
                counts = [self.space.option_counts[position] for position in node.positions]
                met = Met(counts, again, leading.get(node))
                if met.count > ENUMERATED:
                    added_up = True
                    with tolerant:
                        add_up(node, counts, convert=not self._counter.peak)
                    continue
                for options in met:
                    with tolerant:
                        _, after = node.entries[options]
                        leading.setdefault(after, set()).add(
                            tuple(options[place] for place in onward)
                        )
            if added_up:
                # What leads to the next nodes is known in part alone.
                leading.clear()
        # What was tolerated is an error after all if it concerns every architecture.
        self.cost([0] * len(self.space))
        self._built = True


def _shape(leaf: Any) -> Any:
    return (tuple(leaf.shape), leaf.dtype) if isinstance(leaf, Tensor) else leaf
