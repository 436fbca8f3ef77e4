"""The basic block of residual networks.

Source: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, Section 3 and Table 1.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from spos.spaces.blocks.convolution import Size, norm

#: Builds a convolution without bias: called with its name in the block (``conv1``, ``conv2`` or
#: ``shortcut``), input and output channels, side of its kernel, and stride.
MakeConvolution = Callable[[str, Size, Size, int, int], nn.Module]


class ResidualBlock(nn.Module):
    """Output of a branch plus a shortcut, and an activation."""

    def __init__(self, main: nn.Sequential, shortcut: nn.Module) -> None:
        super().__init__()
        self.main = main
        self.shortcut = shortcut
        self.activation = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.activation(self.main(x) + self.shortcut(x))
        return result


def basic_block(
    inputs: int, outputs: int, stride: int, mid: Size, convolution: MakeConvolution
) -> ResidualBlock:
    """Two 3x3 convolutions with a shortcut, which is a 1x1 convolution where shapes differ.

    Source: He et al., Figure 5 (left).

    Example:
        >>> import torch
        >>> def convolution(name, inputs, outputs, kernel, stride):
        ...     return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        >>> basic_block(8, 16, 2, 16, convolution)(torch.zeros(1, 8, 6, 6)).shape
        torch.Size([1, 16, 3, 3])
    """
    main = nn.Sequential(
        convolution("conv1", inputs, mid, 3, stride),
        norm(mid),
        nn.ReLU(inplace=True),
        convolution("conv2", mid, outputs, 3, 1),
        nn.BatchNorm2d(outputs),
    )
    if stride == 1 and inputs == outputs:
        return ResidualBlock(main, nn.Identity())
    shortcut = nn.Sequential(
        convolution("shortcut", inputs, outputs, 1, stride), nn.BatchNorm2d(outputs)
    )
    return ResidualBlock(main, shortcut)
