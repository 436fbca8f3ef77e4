"""Macro-architecture of mobile networks: a convolution, stages of blocks, a wide 1x1 convolution.

Source: Sandler et al., "MobileNetV2", CVPR 2018, Table 2.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from torch import nn

from spos._util.errors import UserError
from spos.nn import OneOf
from spos.nn.supernet import Supernet
from spos.spaces._layout import StagedLayout, check_dropout, check_positive, check_stages
from spos.spaces.blocks.mobile import Activation, convolution, inverted_residual


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
TINY = MobileLayout(
    image_size=8,
    stem_channels=8,
    stem_stride=1,
    channels=(16, 32),
    depths=(3, 4),
    strides=(1, 2),
    head_channels=128,
)


class Place(NamedTuple):
    """Position and shape of a block in the network.

    Args:
        stage (int): number of its stage, from 1.
        number (int): number of the block in its stage, from 0.
        inputs (int): input channels.
        outputs (int): output channels.
        stride (int): stride of the block.
    """

    stage: int
    number: int
    inputs: int
    outputs: int
    stride: int

    @property
    def name(self) -> str:
        """Name of the block, such as ``stage1.0``."""
        return f"stage{self.stage}.{self.number}"

    @property
    def keeps_shape(self) -> bool:
        """Whether the output has the shape of the input."""
        return self.stride == 1 and self.inputs == self.outputs


def inverted_residuals(
    place: Place, blocks: Mapping[str, tuple[int, int]], *, activation: Activation = nn.ReLU
) -> dict[str, nn.Module]:
    """Build the inverted residuals that a layer chooses from.

    Args:
        place (Place): position and shape of the layer.
        blocks (Mapping[str, tuple[int, int]]): kernel and expansion by name.
        activation (Activation): class of the activations.

    Returns:
        The blocks by name, in the same order.
    """
    return {
        name: inverted_residual(
            place.inputs, place.outputs, kernel, expansion, place.stride, activation=activation
        )
        for name, (kernel, expansion) in blocks.items()
    }


def mobile_supernet(
    layout: MobileLayout,
    make_options: Callable[[Place], Mapping[str, nn.Module]],
    *,
    classes: int,
    image_channels: int,
    activation: Activation = nn.ReLU,
) -> Supernet:
    """Build the supernet of a space whose layers are choices between blocks.

    Args:
        layout (MobileLayout): layout of the network.
        make_options (Callable): function that builds the options of a layer, called in order.
        classes (int): number of classes.
        image_channels (int): channels of the input.
        activation (Activation): class of the activations outside the blocks.

    Raises:
        UserError: the layout is invalid.
    """

    def layer(place: Place) -> OneOf:
        return OneOf(make_options(place), name=place.name)

    model = mobile_network(
        layout, layer, classes=classes, image_channels=image_channels, activation=activation
    )
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
        ...     return inverted_residual(place.inputs, place.outputs, 3, 6, place.stride)
        >>> mobile_network(layout, block, classes=10)(torch.zeros(2, 3, 8, 8)).shape
        torch.Size([2, 10])
    """
    check_layout(layout)
    inputs = layout.stem_channels
    stem = convolution(image_channels, inputs, 3, layout.stem_stride, activation=activation)
    model = nn.Sequential(OrderedDict(stem=nn.Sequential(*stem)))
    if layout.first_channels:
        outputs = layout.first_channels
        first = inverted_residual(inputs, outputs, 3, 1, 1, activation=activation)
        model.add_module("first", first)
        inputs = outputs
    stages = zip(layout.channels, layout.depths, layout.strides, strict=True)
    for stage, (outputs, depth, stride) in enumerate(stages, 1):
        blocks = nn.Sequential()
        for number in range(depth):
            place = Place(stage, number, inputs, outputs, stride if number == 0 else 1)
            blocks.append(make_block(place))
            inputs = outputs
        model.add_module(f"stage{stage}", blocks)
    head = convolution(inputs, layout.head_channels, activation=activation)
    model.add_module("head", nn.Sequential(*head))
    classifier = nn.Sequential(
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(layout.dropout),
        nn.Linear(layout.head_channels, classes),
    )
    model.add_module("classifier", classifier)
    return model


def check_layout(layout: MobileLayout) -> None:
    """Check a layout.

    Raises:
        UserError: a setting is out of range, or the settings have different numbers of stages.
    """
    check_stages(layout, "depths", "strides")
    check_positive(layout, "image_size", "stem_channels", "stem_stride", "head_channels")
    check_dropout(layout)
    if layout.first_channels < 0:
        raise UserError(f"layout.first_channels {layout.first_channels}: must be at least 0")
