"""The blocks of mobile networks: depthwise separable convolutions and inverted residuals.

Sources: Howard et al., "MobileNets", 2017, Section 3.1; Sandler et al., "MobileNetV2", CVPR 2018,
Section 3; Wu et al., "FBNet", CVPR 2019, Figure 3, for the groups.
"""

from __future__ import annotations

from torch import Tensor, nn

from spos.spaces.blocks.convolution import Activation, convolution


class Residual(nn.Module):
    """Output of a branch plus its input."""

    def __init__(self, main: nn.Sequential) -> None:
        super().__init__()
        self.main = main

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = x + self.main(x)
        return result


def depthwise_separable(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """A depthwise 3x3 and a 1x1 convolution, each with batch norm and ReLU.

    Args:
        inputs (int): input channels.
        outputs (int): output channels.
        stride (int): stride of the depthwise convolution.

    Source: Howard et al., "MobileNets", 2017, Figure 3.

    Example:
        >>> import torch
        >>> depthwise_separable(8, 16, 2)(torch.zeros(1, 8, 6, 6)).shape
        torch.Size([1, 16, 3, 3])
    """
    return nn.Sequential(
        *convolution(inputs, inputs, 3, stride, depthwise=True),
        *convolution(inputs, outputs),
    )


def inverted_residual(
    inputs: int,
    outputs: int,
    stride: int,
    kernel: int,
    expansion: int,
    groups: int = 1,
    *,
    bias: bool = False,
    activation: Activation = nn.ReLU,
) -> nn.Module:
    """A 1x1 expansion, a depthwise and a linear 1x1 convolution; residual where shapes agree.

    With an expansion of 1 the block begins with its depthwise convolution.

    Args:
        inputs (int): input channels.
        outputs (int): output channels.
        stride (int): stride of the depthwise convolution.
        kernel (int): side of the depthwise kernel, odd.
        expansion (int): ratio of inner to input channels, at least 1.
        groups (int): groups of the 1x1 convolutions; with more than 1, channels are shuffled before
            the depthwise convolution.
        bias (bool): whether convolutions have a bias.
        activation (type): class of the activation.

    Source: Sandler et al., "MobileNetV2", CVPR 2018, Table 1; Wu et al., "FBNet", CVPR 2019,
    Figure 3.

    Example:
        >>> import torch
        >>> inverted_residual(8, 16, 2, 5, 6)(torch.zeros(1, 8, 6, 6)).shape
        torch.Size([1, 16, 3, 3])
    """
    mid = inputs * expansion
    layers: list[nn.Module] = []
    if expansion > 1:
        layers += convolution(inputs, mid, groups=groups, bias=bias, activation=activation)
    if groups > 1:
        layers.append(nn.ChannelShuffle(groups))
    layers += convolution(
        mid, mid, kernel, stride, depthwise=True, bias=bias, activation=activation
    )
    layers += convolution(mid, outputs, groups=groups, bias=bias, activation=None)
    main = nn.Sequential(*layers)
    return Residual(main) if stride == 1 and inputs == outputs else main
