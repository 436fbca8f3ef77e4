"""Expected cost of random architectures, differentiable in the option probabilities."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product

import torch
from torch import Tensor

from spos._util.errors import UserError, nearest
from spos.cost.combined import CombinedCosts
from spos.cost.model import CostModel
from spos.cost.node import Node
from spos.cost.part import Options
from spos.cost.table import ENUMERATED, CostTable
from spos.space import SearchSpace


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
        cost = table.names.index(name)
        # For each reachable node, in the order of the stages: the options that lead to each of the
        # next nodes, and their costs.
        self._edges: dict[Node, list[tuple[Node, Tensor, Tensor]]] = {}
        # For each node, the choices that decide whether it is reached.
        deciding: dict[Node, set[int]] = {table._root: set()}
        while (node := min(deciding)) is not table._end:
            decided = deciding.pop(node)
            if not deciding:
                decided = set()
            counts = _countable(table.space, node, decided)
            following: dict[Node, dict[Options, int]] = {}
            for options in product(*map(range, counts)):
                costs, after = node.entries[options]
                following.setdefault(after, {})[options] = costs[cost]
            self._edges[node] = [
                (after, torch.tensor([*entries]), torch.tensor([*entries.values()]).double())
                for after, entries in following.items()
            ]
            for after in following:
                deciding.setdefault(after, set()).update(decided, node.positions)

    def __call__(self, probabilities: Sequence[Tensor]) -> Tensor:
        """Return the expected cost.

        Args:
            probabilities (Sequence[Tensor]): for each choice the probabilities of its options,
                which sum to 1.

        Returns:
            A scalar tensor with the device and dtype of the probabilities.
        """
        reached: dict[Node, Tensor] = {}
        total = probabilities[0].new_zeros(())
        for node, edges in self._edges.items():
            # Where all paths meet, the probability is exactly 1 despite rounding.
            share = reached.pop(node, None)
            share = share if reached else None
            for after, options, costs in edges:
                weights = probabilities[0].new_ones(len(options))
                for position, column in zip(node.positions, options.T, strict=True):
                    weights = weights * probabilities[position][column.to(weights.device)]
                if share is not None:
                    weights = weights * share
                total = total + weights @ costs.to(weights)
                arrived = weights.sum()
                reached[after] = reached[after] + arrived if after in reached else arrived
        return total


def _countable(space: SearchSpace, node: Node, decided: set[int]) -> list[int]:
    """Return the number of options of each choice of a node, if its mean cost is known."""
    again = sorted(decided.intersection(node.positions))
    if again:
        raise UserError(
            f"choice '{space.choices[again[0]].name}' decides a shape and is read again behind it: "
            "the mean cost of such a space is not known"
        )
    counts = [space.option_counts[position] for position in node.positions]
    if math.prod(counts) > ENUMERATED:
        raise UserError(
            f"stage {node.order[0] + 1} reads {len(node.positions)} choices at once and its costs "
            f"are not a sum over them: the mean over {math.prod(counts):,} combinations is "
            "unknown; write the model as an nn.Sequential of smaller stages"
        )
    return counts
