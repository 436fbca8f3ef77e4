"""MobileNet, MobileNetV2, and MnasNet-B1 without squeeze-and-excitation."""

from __future__ import annotations

from collections import OrderedDict
from functools import partial

from torch import nn

from spos.spaces._mobile import MobileLayout, mobile_network
from spos.spaces._stages import Place, classifier
from spos.spaces.blocks.convolution import convolution
from spos.spaces.blocks.mobile import depthwise_separable, inverted_residual
from spos.spaces.zoo import NETWORKS, Network

_V1_CHANNELS = (64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)


def mobilenet_v1(
    *, classes: int, image_channels: int = 3, small: bool = False, width: float = 1.0
) -> nn.Sequential:
    """MobileNet (version 1).

    Source: Howard et al., "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision
    Applications", 2017, Table 1.

    Example:
        >>> network = mobilenet_v1(classes=1000, width=0.75)
        >>> sum(parameter.numel() for parameter in network.parameters())
        2585560
    """
    inputs = round(32 * width)
    stem = nn.Sequential(*convolution(image_channels, inputs, 3, 1 if small else 2))
    strides = (1, 1 if small else 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
    blocks = nn.Sequential()
    for channels, stride in zip(_V1_CHANNELS, strides, strict=True):
        outputs = round(channels * width)
        blocks.append(depthwise_separable(inputs, outputs, stride))
        inputs = outputs
    last = classifier(nn.Linear(inputs, classes))
    return nn.Sequential(OrderedDict(stem=stem, blocks=blocks, classifier=last))


def _layout(
    channels: tuple[int, ...], depths: tuple[int, ...], small: bool, width: float
) -> MobileLayout:
    return MobileLayout(
        image_size=32 if small else 224,
        stem_channels=32,
        stem_stride=1 if small else 2,
        first_channels=16,
        channels=channels,
        depths=depths,
        strides=(1 if small else 2, 2, 2, 1, 2, 1),
        head_channels=1280,
        dropout=0.2,
    ).scaled_throughout(width)


def mobilenet_v2(
    *, classes: int, image_channels: int = 3, small: bool = False, width: float = 1.0
) -> nn.Sequential:
    """MobileNetV2.

    Source: Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018,
    Table 2.

    Example:
        >>> network = mobilenet_v2(classes=1000)
        >>> sum(parameter.numel() for parameter in network.parameters())
        3504872
    """
    layout = _layout((24, 32, 64, 96, 160, 320), (2, 3, 4, 3, 3, 1), small, width)

    def block(place: Place) -> nn.Module:
        return inverted_residual(*place.sizes, kernel=3, expansion=6, activation=nn.ReLU6)

    sizes = {"classes": classes, "image_channels": image_channels}
    return mobile_network(layout, block, **sizes, activation=nn.ReLU6)


def mnasnet_b1(
    *, classes: int, image_channels: int = 3, small: bool = False, width: float = 1.0
) -> nn.Sequential:
    """MnasNet-B1.

    It has 314,415,872 multiply-adds and 4,383,312 parameters; the authors report 317 M and 4.2 M.

    Source: Tan et al., "MnasNet: Platform-Aware Neural Architecture Search for Mobile", CVPR 2019,
    and the authors' release for B1.

    Example:
        >>> network = mnasnet_b1(classes=1000)
        >>> sum(parameter.numel() for parameter in network.parameters())
        4383312
    """
    layout = _layout((24, 40, 80, 96, 192, 320), (3, 3, 3, 2, 4, 1), small, width)
    kernels_and_expansions = ((3, 3), (5, 3), (5, 6), (3, 6), (5, 6), (3, 6))

    def block(place: Place) -> nn.Module:
        return inverted_residual(*place.sizes, *kernels_and_expansions[place.stage - 1])

    return mobile_network(layout, block, classes=classes, image_channels=image_channels)


NETWORKS["mnasnet_b1"] = Network(
    paper="Tan et al., MnasNet: Platform-Aware Neural Architecture Search, CVPR 2019",
    build=mnasnet_b1,
    scales=True,
)
NETWORKS["mobilenet_v1_0.75"] = Network(
    paper="Howard et al., MobileNets, 2017",
    build=partial(mobilenet_v1, width=0.75),
)
NETWORKS["mobilenet_v2"] = Network(
    paper="Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks, CVPR 2018",
    build=mobilenet_v2,
    scales=True,
)
