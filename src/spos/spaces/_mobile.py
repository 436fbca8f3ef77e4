"""Macro-architecture of mobile networks: a convolution, stages of blocks, a wide 1x1 convolution.

Source: Sandler et al., "MobileNetV2", CVPR 2018, Table 2.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from spos._util.errors import UserError
from spos.nn import OneOf
from spos.nn.supernet import Supernet
from spos.spaces._stages import Place, StagedLayout, check_stages, classifier, stages
from spos.spaces.blocks.convolution import Activation, convolution
from spos.spaces.blocks.mobile import inverted_residual


@dataclass(frozen=True)
class MobileLayout(StagedLayout):
    """Layout of a mobile network.

    Args:
        image_size (int): side of the square input, in pixels.
        stem_channels (int): output channels of the first convolution, at least 1.
        channels (tuple[int, ...]): output channels of each stage, at least 1.
        depths (tuple[int, ...]): number of blocks in each stage, at least 1.
        strides (tuple[int, ...]): stride of the first block of each stage, at least 1.
        head_channels (int): output channels of the last convolution, at least 1.
        stem_stride (int): stride of the first convolution, at least 1.
        first_channels (int): output channels of an inverted residual with kernel 3 and expansion 1
            before the stages; 0 omits it.
        dropout (float): dropout probability before the classifier, in [0, 1).
    """

    image_size: int
    stem_channels: int
    channels: tuple[int, ...]
    depths: tuple[int, ...]
    strides: tuple[int, ...]
    head_channels: int
    stem_stride: int = 2
    first_channels: int = 0
    dropout: float = 0.0


#: For images of 8 pixels, to try a space in seconds.
TINY = MobileLayout(8, 8, (16, 32), (3, 4), (1, 2), head_channels=128, stem_stride=1)


def mobile_supernet(
    layout: MobileLayout,
    make_options: Callable[[Place], Mapping[str, nn.Module]],
    *,
    image_channels: int,
    **network: Any,
) -> Supernet:
    """Build the supernet of a space whose layers are choices between blocks.

    Args:
        layout (MobileLayout): layout of the network.
        make_options (Callable): function that builds the options of a layer, called in order.
        image_channels (int): channels of the input.
        **network (Any): further arguments of :func:`mobile_network`.

    Raises:
        UserError: the layout is invalid.
    """

    def layer(place: Place) -> OneOf:
        return OneOf(make_options(place), name=place.name)

    model = mobile_network(layout, layer, image_channels=image_channels, **network)
    return Supernet(model, (image_channels, layout.image_size, layout.image_size))


def mobile_network(
    layout: MobileLayout,
    make_block: Callable[[Place], nn.Module],
    *,
    classes: int,
    image_channels: int = 3,
    activation: Activation = nn.ReLU,
) -> nn.Sequential:
    """Build a mobile network from a layout and a function that builds its blocks.

    Raises:
        UserError: the layout is invalid.

    Example:
        >>> import torch
        >>> layout = MobileLayout(8, 8, (8, 16), (1, 2), (1, 2), 32)
        >>> def block(place):
        ...     return inverted_residual(*place.sizes, kernel=3, expansion=6)
        >>> mobile_network(layout, block, classes=10)(torch.zeros(2, 3, 8, 8)).shape
        torch.Size([2, 10])
    """
    check_stages(layout)
    if layout.first_channels < 0:
        raise UserError(f"layout.first_channels {layout.first_channels}: must be at least 0")
    inputs = layout.stem_channels
    stem = convolution(image_channels, inputs, 3, layout.stem_stride, activation=activation)
    first: dict[str, nn.Module] = {}
    if layout.first_channels:
        outputs = layout.first_channels
        first["first"] = inverted_residual(inputs, outputs, 1, 3, 1, activation=activation)
        inputs = outputs
    features = stages(layout, inputs, make_block)
    head = convolution(layout.channels[-1], layout.head_channels, activation=activation)
    last = classifier(nn.Dropout(layout.dropout), nn.Linear(layout.head_channels, classes))
    parts = {"stem": nn.Sequential(*stem), **first, **features, "head": nn.Sequential(*head)}
    return nn.Sequential(OrderedDict(**parts, classifier=last))
