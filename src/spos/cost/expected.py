"""The mean cost of random architectures, as a differentiable function of the probabilities."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product

import numpy as np
import torch
from torch import Tensor

from spos._util.errors import UserError, nearest
from spos.cost.combined import CombinedCosts
from spos.cost.model import CostModel
from spos.cost.node import Node
from spos.cost.table import ENUMERATED, CostTable


class ExpectedCost:
    """The mean of a cost over architectures whose options are drawn independently.

    A stage's costs are weighted by the probabilities of its options, and by how likely the shape of
    its input is. It is exact, also where stages share a choice.

    Args:
        table: the costs; of several tables that are combined, the one that has the cost.
        name: of the cost.

    Raises:
        UserError: there is no such cost or it is no sum over the stages, a stage reads too many
            choices at once, or an option decides a shape and is read again behind it.

    Source: Wu et al., FBNet, CVPR 2019, Section 3.3; Cai et al., ProxylessNAS, ICLR 2019,
        Section 3.3.1.

    Example:
        >>> from torch import nn
        >>> from spos.nn import OneOf
        >>> from spos.nn.supernet import Supernet
        >>> model = nn.Sequential(OneOf({"3x3": nn.Conv2d(3, 8, 3), "1x1": nn.Conv2d(3, 8, 1)}))
        >>> expected = ExpectedCost(CostTable(Supernet(model, (3, 10, 10))), "flops")
        >>> expected([torch.tensor([0.5, 0.5])])
        tensor(8112.)
    """

    def __init__(self, table: CostModel, name: str) -> None:
        if name not in table.names:
            raise UserError(f"unknown cost '{name}': {nearest(name, table.names)}")
        if isinstance(table, CombinedCosts):
            table = table.table_of(name)
        if not isinstance(table, CostTable):
            raise UserError(
                f"the mean of the cost '{name}' is not known: it does not come from a CostTable"
            )
        if table._counter.peak:
            raise UserError(
                f"the cost '{name}' is that of the costliest stage and no sum: its mean does not "
                "follow from those of the stages"
            )
        table._build()
        self._space = table.space
        self._cost = table.names.index(name)
        self._end = table._end
        self._root = table._root
        self._edges: dict[Node, list[_Edge]] = {}
        self._compile()

    def __call__(self, probabilities: Sequence[Tensor]) -> Tensor:
        """The mean cost.

        Args:
            probabilities: of each choice those of its options, which add up to 1.

        Returns:
            A scalar on their device, in their precision.
        """
        reached: dict[Node, Tensor | None] = {self._root: None}
        total = probabilities[0].new_zeros(())
        while True:
            node = min(reached, key=lambda node: node.order)
            share = reached.pop(node)
            if node is self._end:
                return total
            if not reached:
                # All architectures meet here, whatever rounding made of the sum.
                share = None
            for edge in self._edges[node]:
                weights = edge.weights(node, probabilities)
                if share is not None:
                    weights = weights * share
                total = total + weights @ edge.costs.to(weights)
                before = reached.get(edge.after)
                arrived = weights.sum()
                reached[edge.after] = arrived if before is None else before + arrived

    def _compile(self) -> None:
        """Put the options of each node that can be reached into arrays."""
        # Of a node, the choices that decide whether it is reached.
        deciding: dict[Node, set[int]] = {self._root: set()}
        while True:
            node = min(deciding, key=lambda node: node.order)
            decided = deciding.pop(node)
            if node is self._end:
                return
            if not deciding:
                decided = set()
            self._check(node, decided)
            counts = [self._space.option_counts[position] for position in node.positions]
            following: dict[Node, list[tuple[tuple[int, ...], int]]] = {}
            for options in product(*map(range, counts)):
                costs, after = node.entries[options]
                following.setdefault(after, []).append((options, costs[self._cost]))
            self._edges[node] = [_Edge(after, entries) for after, entries in following.items()]
            for after in following:
                deciding.setdefault(after, set()).update(decided, node.positions)

    def _check(self, node: Node, decided: set[int]) -> None:
        again = sorted(decided.intersection(node.positions))
        if again:
            raise UserError(
                f"choice '{self._space.choices[again[0]].name}' decides a shape and is read again "
                "behind it: the mean cost of such a space is not known"
            )
        count = math.prod(self._space.option_counts[position] for position in node.positions)
        if count > ENUMERATED:
            raise UserError(
                f"stage {node.order[0] + 1} reads {len(node.positions)} choices at once and its "
                f"costs are no sum over them: the mean over {count:,} combinations is not known; "
                "write the model as an nn.Sequential of smaller stages"
            )


class _Edge:
    """The options that lead from one node to another.

    Args:
        after: the other node.
        entries: options, each with its cost.
    """

    def __init__(self, after: Node, entries: list[tuple[tuple[int, ...], int]]) -> None:
        self.after = after
        options = np.array([options for options, _ in entries], dtype=np.int64)
        self._options = torch.from_numpy(options.reshape(len(entries), -1))
        self.costs = torch.tensor([cost for _, cost in entries], dtype=torch.float64)

    def weights(self, node: Node, probabilities: Sequence[Tensor]) -> Tensor:
        """How likely each of the options is at the node."""
        weights = probabilities[0].new_ones(len(self._options))
        for place, position in enumerate(node.positions):
            column = self._options[:, place].to(weights.device)
            weights = weights * probabilities[position][column]
        return weights
