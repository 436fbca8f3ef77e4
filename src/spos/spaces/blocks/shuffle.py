"""The choice blocks of the paper, after ShuffleNetV2.

Sources: Guo et al., Section 4 and Table 1; Ma et al., "ShuffleNet V2", ECCV 2018, for the unit.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from spos.nn.halves import Halves
from spos.spaces.blocks.convolution import Size, convolution

OPTIONS = ("shuffle3x3", "shuffle5x5", "shuffle7x7", "xception3x3")


class ShuffleUnit(nn.Module):
    """A unit with a main branch.

    The even channels pass unchanged and the odd ones enter the main branch. In the first unit of a
    stage, all channels enter both a projection and the main branch.
    """

    def __init__(self, main: nn.Sequential, projection: nn.Sequential | None = None) -> None:
        super().__init__()
        self.branch_proj = projection
        self.branch_main = main
        if projection is None:
            self.halves = Halves()

    def forward(self, x: Tensor) -> Tensor:
        if self.branch_proj is None:
            even, odd = self.halves(x)
            return torch.cat((even, self.branch_main(odd)), dim=1)
        return torch.cat((self.branch_proj(x), self.branch_main(x)), dim=1)


def _depthwise(channels: Size, kernel: int, stride: int = 1) -> list[nn.Module]:
    return convolution(channels, channels, kernel, stride, depthwise=True, activation=None)


def choice_block(
    option: str, inputs: int, outputs: int, stride: int, mid: Size, *, reduction: bool
) -> nn.Module:
    """One candidate of a choice block.

    Args:
        option (str): one of :data:`OPTIONS`.
        inputs (int): input channels of the block.
        outputs (int): output channels of the block.
        stride (int): stride of the block, 1 or 2.
        mid (int | Width): channels inside the main branch, searched as a :class:`spos.nn.Width`.
        reduction (bool): whether it is the first block of a stage, with a projection branch.

    Example:
        >>> block = choice_block("shuffle5x5", 16, 64, 2, 32, reduction=True)
        >>> block(torch.zeros(1, 16, 8, 8)).shape
        torch.Size([1, 64, 4, 4])
    """
    entering = inputs if reduction else inputs // 2
    leaving = outputs - entering
    kernel = int(option[-1])
    if option == "xception3x3":
        main = [
            *_depthwise(entering, kernel, stride),
            *convolution(entering, mid),
            *_depthwise(mid, kernel),
            *convolution(mid, mid),
            *_depthwise(mid, kernel),
        ]
    else:
        main = [*convolution(entering, mid), *_depthwise(mid, kernel, stride)]
    main += convolution(mid, leaving)
    if not reduction:
        return ShuffleUnit(nn.Sequential(*main))
    projection = [*_depthwise(inputs, kernel, stride), *convolution(inputs, inputs)]
    return ShuffleUnit(nn.Sequential(*main), nn.Sequential(*projection))
