"""Operations and cells: graphs with operations on their edges, stacked to networks.

Sources: Zoph et al., "Learning Transferable Architectures for Scalable Image Recognition", CVPR
2018, Section 3; Liu et al., "DARTS", ICLR 2019, Section 2.1; Dong and Yang, "NAS-Bench-201", ICLR
2020, Section 2.1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Zero(nn.Module):
    """The operation ``none``: zeros of the input's shape; no gradient flows through it."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x)


class FactorizedReduction(nn.Module):
    """Halve the resolution by two 1x1 convolutions, on even and on odd positions.

    Source: Zoph et al., the released definition of NASNet.

    Example:
        >>> FactorizedReduction(4, 7)(torch.zeros(1, 4, 9, 9)).shape
        torch.Size([1, 7, 5, 5])
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        half = outputs // 2
        self.activation = nn.ReLU()
        self.even = nn.Conv2d(inputs, half, 1, 2, bias=False)
        self.odd = nn.Conv2d(inputs, outputs - half, 1, 2, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = self.activation(x)
        # The zeros matter only for odd sides, where even and odd positions differ in number.
        shifted = F.pad(x, (-1, 1, -1, 1))
        result: Tensor = self.norm(torch.cat((self.even(x), self.odd(shifted)), dim=1))
        return result


def _convolution(inputs: int, outputs: int, stride: int, kernel: int = 1) -> nn.Sequential:
    return nn.Sequential(
        # Not in place: other edges of the cell read the same input.
        nn.ReLU(),
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
    )


def _separable(
    inputs: int, outputs: int, stride: int, kernel: int, dilation: int = 1
) -> nn.Sequential:
    padding = dilation * (kernel // 2)
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(inputs, inputs, kernel, stride, padding, dilation, inputs, bias=False),
        nn.Conv2d(inputs, outputs, 1, bias=False),
        nn.BatchNorm2d(outputs),
    )


def _twice_separable(inputs: int, outputs: int, stride: int, kernel: int) -> nn.Sequential:
    first = _separable(inputs, outputs, stride, kernel)
    return nn.Sequential(*first, *_separable(outputs, outputs, 1, kernel))


def _pool(inputs: int, outputs: int, stride: int, kind: Callable[..., nn.Module]) -> nn.Module:
    pool = kind(3, stride, 1)
    if inputs == outputs:
        return pool
    return nn.Sequential(pool, nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))


def _skip(inputs: int, outputs: int, stride: int) -> nn.Module:
    same = stride == 1 and inputs == outputs
    return nn.Identity() if same else _convolution(inputs, outputs, stride)


#: Operations by name, built from input channels, output channels and stride.
OPERATIONS: dict[str, Callable[..., nn.Module]] = {
    "none": lambda inputs, outputs, stride: Zero(),
    "skip_connect": _skip,
    "nor_conv_1x1": partial(_convolution, kernel=1),
    "nor_conv_3x3": partial(_convolution, kernel=3),
    "avg_pool_3x3": partial(_pool, kind=partial(nn.AvgPool2d, count_include_pad=False)),
    "max_pool_3x3": partial(_pool, kind=nn.MaxPool2d),
    "sep_conv_3x3": partial(_twice_separable, kernel=3),
    "sep_conv_5x5": partial(_twice_separable, kernel=5),
    "sep_conv_7x7": partial(_twice_separable, kernel=7),
    "dil_conv_3x3": partial(_separable, kernel=3, dilation=2),
    "dil_conv_5x5": partial(_separable, kernel=5, dilation=2),
}


def operation(name: str, inputs: int, outputs: int, stride: int = 1) -> nn.Module:
    """An operation of a cell's edge, by its name in genotypes.

    A pooling or a skip that changes the shape gets a 1x1 convolution, as in the released definition
    of NASNet; ``none`` keeps the shape of its input.

    Example:
        >>> operation("sep_conv_5x5", 4, 8, 2)(torch.zeros(1, 4, 6, 6)).shape
        torch.Size([1, 8, 3, 3])
    """
    return OPERATIONS[name](inputs, outputs, stride)


@dataclass(frozen=True)
class Wiring:
    """Operations of a cell's nodes, and which nodes are its output.

    Args:
        edges (tuple): operation and number of its input, two of them for each node. Inputs 0 and 1
            are the last cell but one and the last cell; nodes are numbered from 2.
        concat (tuple[int, ...]): numbers of the inputs and nodes that are concatenated.
    """

    edges: tuple[tuple[str, int], ...]
    concat: tuple[int, ...]


class Cell(nn.Module):
    """A cell of a genotype: reads the outputs of two cells, returns the last one and its own.

    Args:
        wiring (Wiring): operations of the cell.
        before (int): channels of the last cell but one.
        last (int): channels of the last cell.
        filters (int): channels of each node.
        stride (int): stride of the operations on the cell's inputs, 1 or 2.
        halve (bool): whether the last cell but one has twice the resolution of the last.
        project (bool): whether to project the last cell but one to ``filters`` channels.

    Source: Zoph et al., Section 3; Liu et al., Section 2.1.

    Example:
        >>> wiring = Wiring((("sep_conv_3x3", 0), ("skip_connect", 1)), concat=(2,))
        >>> cell = Cell(wiring, before=4, last=8, filters=6)
        >>> last, own = cell((torch.zeros(1, 4, 5, 5), torch.zeros(1, 8, 5, 5)))
        >>> last.shape, own.shape
        (torch.Size([1, 8, 5, 5]), torch.Size([1, 6, 5, 5]))
    """

    def __init__(
        self,
        wiring: Wiring,
        before: int,
        last: int,
        filters: int,
        *,
        stride: int = 1,
        halve: bool = False,
        project: bool = True,
    ) -> None:
        super().__init__()
        if halve:
            self.before: nn.Module = FactorizedReduction(before, filters)
        else:
            self.before = _convolution(before, filters, 1) if project else nn.Identity()
        self.last = _convolution(last, filters, 1)
        nodes = len(wiring.edges) // 2
        channels = [filters if halve or project else before, *[filters] * (1 + nodes)]
        self.sources = tuple(source for _, source in wiring.edges)
        self.concat = wiring.concat
        self.operations = nn.ModuleList(
            operation(name, channels[source], filters, stride if source < 2 else 1)
            for name, source in wiring.edges
        )
        self.channels = sum(channels[number] for number in self.concat)

    def forward(self, pair: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        before, last = pair
        states = [self.before(before), self.last(last)]
        for place in range(0, len(self.sources), 2):
            left, right = self.sources[place], self.sources[place + 1]
            states.append(
                self.operations[place](states[left]) + self.operations[place + 1](states[right])
            )
        return last, torch.cat([states[number] for number in self.concat], dim=1)
