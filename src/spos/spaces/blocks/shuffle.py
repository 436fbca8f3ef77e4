"""The choice blocks of the paper, after ShuffleNetV2.

Sources: Guo et al., Section 4 and Table 1; Ma et al., "ShuffleNet V2", ECCV 2018, for the unit.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from spos.nn import ElasticBatchNorm2d, ElasticConv2d, Width

OPTIONS = ("shuffle3x3", "shuffle5x5", "shuffle7x7", "xception3x3")

Size = int | Width


class ShuffleUnit(nn.Module):
    """A unit whose even channels pass unchanged and whose odd channels enter the main branch."""

    def __init__(self, main: nn.Sequential) -> None:
        super().__init__()
        self.branch_main = main

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((x[:, 0::2], self.branch_main(x[:, 1::2])), dim=1)


class ReductionUnit(nn.Module):
    """The first unit of a stage: all channels enter both a projection and the main branch."""

    def __init__(self, projection: nn.Sequential, main: nn.Sequential) -> None:
        super().__init__()
        self.branch_proj = projection
        self.branch_main = main

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((self.branch_proj(x), self.branch_main(x)), dim=1)


def _convolution(
    inputs: Size, outputs: Size, kernel: int = 1, stride: int = 1, *, depthwise: bool = False
) -> nn.Module:
    padding = kernel // 2
    if isinstance(inputs, int) and isinstance(outputs, int):
        groups = inputs if depthwise else 1
        return nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)
    return ElasticConv2d(inputs, outputs, kernel, stride, padding, depthwise=depthwise, bias=False)


def _norm(channels: Size) -> nn.Module:
    return nn.BatchNorm2d(channels) if isinstance(channels, int) else ElasticBatchNorm2d(channels)


def pointwise(inputs: Size, outputs: Size) -> list[nn.Module]:
    """A 1x1 convolution with batch norm and activation."""
    return [_convolution(inputs, outputs), _norm(outputs), nn.ReLU(inplace=True)]


def _depthwise(channels: Size, kernel: int, stride: int = 1) -> list[nn.Module]:
    return [_convolution(channels, channels, kernel, stride, depthwise=True), _norm(channels)]


def choice_block(
    option: str, inputs: int, outputs: int, mid: Size, stride: int, *, reduction: bool
) -> nn.Module:
    """One candidate of a choice block.

    Args:
        option (str): one of :data:`OPTIONS`.
        inputs (int): input channels of the block.
        outputs (int): output channels of the block.
        mid (int | Width): channels inside the main branch, searched as a :class:`spos.nn.Width`.
        stride (int): stride of the block, 1 or 2.
        reduction (bool): whether it is the first block of a stage, with a projection branch.

    Example:
        >>> block = choice_block("shuffle5x5", 16, 64, 32, 2, reduction=True)
        >>> block(torch.zeros(1, 16, 8, 8)).shape
        torch.Size([1, 64, 4, 4])
    """
    entering = inputs if reduction else inputs // 2
    passing = inputs if reduction else inputs - entering
    leaving = outputs - passing
    if option == "xception3x3":
        kernel = 3
        main = [
            *_depthwise(entering, 3, stride),
            *pointwise(entering, mid),
            *_depthwise(mid, 3),
            *pointwise(mid, mid),
            *_depthwise(mid, 3),
            *pointwise(mid, leaving),
        ]
    else:
        kernel = int(option[-1])
        main = [
            *pointwise(entering, mid),
            *_depthwise(mid, kernel, stride),
            *pointwise(mid, leaving),
        ]
    if not reduction:
        return ShuffleUnit(nn.Sequential(*main))
    projection = [*_depthwise(inputs, kernel, stride), *pointwise(inputs, inputs)]
    return ReductionUnit(nn.Sequential(*projection), nn.Sequential(*main))
