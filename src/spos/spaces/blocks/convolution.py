"""A convolution with its batch norm and activation, of fixed or searchable width."""

from __future__ import annotations

from torch import nn

from spos.nn import ElasticBatchNorm2d, ElasticConv2d, Width

Size = int | Width
#: Class of an activation with the argument ``inplace``.
Activation = type[nn.ReLU] | type[nn.ReLU6]


def convolution(
    inputs: Size,
    outputs: Size,
    kernel: int = 1,
    stride: int = 1,
    *,
    groups: int = 1,
    depthwise: bool = False,
    bias: bool = False,
    activation: Activation | None = nn.ReLU,
) -> list[nn.Module]:
    """A padded convolution, batch norm and activation.

    Args:
        inputs (int | Width): input channels, fixed or searched as a :class:`spos.nn.Width`.
        outputs (int | Width): output channels; of a depthwise convolution the same as ``inputs``.
        kernel (int): side of the kernel, odd.
        stride (int): stride of the convolution.
        groups (int): groups of a convolution of fixed width.
        depthwise (bool): whether each channel has its own filter.
        bias (bool): whether the convolution has a bias.
        activation (type | None): class of the activation; None omits it.
    """
    layer: nn.Module
    sizes = (kernel, stride, kernel // 2)
    if isinstance(inputs, int) and isinstance(outputs, int):
        groups = inputs if depthwise else groups
        layer = nn.Conv2d(inputs, outputs, *sizes, groups=groups, bias=bias)
    else:
        layer = ElasticConv2d(inputs, outputs, *sizes, depthwise=depthwise, bias=bias)
    return [layer, norm(outputs), *([activation(inplace=True)] if activation else [])]


def norm(channels: Size) -> nn.Module:
    """A batch norm over a fixed or searchable number of channels."""
    return nn.BatchNorm2d(channels) if isinstance(channels, int) else ElasticBatchNorm2d(channels)
