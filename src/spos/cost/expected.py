"""Expected cost of random architectures, differentiable in the option probabilities."""

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
    """Expected cost of architectures whose options are drawn independently.

    The costs of a stage are weighted by the probabilities of its options and of its input shape.
    The result is exact, even if stages share a choice.

    Args:
        table (CostModel): costs of the space: a :class:`spos.cost.CostTable`, or
            :class:`CombinedCosts` that contain one with this cost.
        name (str): name of the cost.

    Raises:
        UserError: the cost is unknown or is not a sum over the stages, a stage reads too many
            choices at once, or a later stage reads a choice that has decided the shape of its
            input.

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
                f"the cost '{name}' is that of the costliest stage and not a sum: its mean does "
                "not follow from those of the stages"
            )
        table._build()
        self._space = table.space
        self._cost = table.names.index(name)
        self._end = table._end
        self._root = table._root
        self._edges: dict[Node, list[_Edge]] = {}
        self._compile()

    def __call__(self, probabilities: Sequence[Tensor]) -> Tensor:
        """Return the expected cost.

        Args:
            probabilities (Sequence[Tensor]): for each choice the probabilities of its options,
                which sum to 1.

        Returns:
            A scalar tensor with the device and dtype of the probabilities.
        """
        reached: dict[Node, Tensor | None] = {self._root: None}
        total = probabilities[0].new_zeros(())
        while True:
            node = min(reached, key=lambda node: node.order)
            share = reached.pop(node)
            if node is self._end:
                return total
            if not reached:
                # All paths meet here, so the probability is exactly 1 despite rounding.
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
        """Convert the options of each reachable node into arrays."""
        # For each node, the choices that decide whether it is reached.
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
                f"costs are not a sum over them: the mean over {count:,} combinations is unknown; "
                "write the model as an nn.Sequential of smaller stages"
            )


class _Edge:
    """The options that lead from one node to another."""

    def __init__(self, after: Node, entries: list[tuple[tuple[int, ...], int]]) -> None:
        self.after = after
        options = np.array([options for options, _ in entries], dtype=np.int64)
        self._options = torch.from_numpy(options.reshape(len(entries), -1))
        self.costs = torch.tensor([cost for _, cost in entries], dtype=torch.float64)

    def weights(self, node: Node, probabilities: Sequence[Tensor]) -> Tensor:
        """Return the probability of each combination of options at the node."""
        weights = probabilities[0].new_ones(len(self._options))
        for place, position in enumerate(node.positions):
            column = self._options[:, place].to(weights.device)
            weights = weights * probabilities[position][column]
        return weights
