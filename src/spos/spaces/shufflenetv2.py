"""Block search space of the paper, based on ShuffleNetV2.

Sources: Guo et al., Section 4 and Table 1; Ma et al., "ShuffleNet V2", ECCV 2018, for the unit.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise

from torch import nn

from spos._util.errors import UserError
from spos.nn import OneOf
from spos.nn.supernet import Supernet
from spos.spaces import SPACES, Family
from spos.spaces._stages import (
    Place,
    StagedLayout,
    check_stages,
    classifier,
    places,
    small_defaults,
)
from spos.spaces.blocks.convolution import convolution
from spos.spaces.blocks.shuffle import OPTIONS, choice_block
from spos.training.defaults import DEFAULTS as COMMON_DEFAULTS


@dataclass(frozen=True)
class Layout(StagedLayout):
    """Layout of the network around the choice blocks.

    Args:
        image_size (int): side of the square input, in pixels.
        stem_channels (int): output channels of the first convolution, at least 1.
        stem_stride (int): stride of the first convolution, at least 1.
        channels (tuple[int, ...]): output channels of each stage, even and increasing.
        depths (tuple[int, ...]): number of choice blocks in each stage, at least 1.
        strides (tuple[int, ...]): stride of the first block of each stage, 1 or 2.
        head_channels (int): output channels of the last convolution, at least 1.
        dropout (float): dropout probability before the classifier, in [0, 1).
        classifier_bias (bool): whether the classifier has a bias.
    """

    image_size: int
    stem_channels: int = 16
    stem_stride: int = 2
    channels: tuple[int, ...] = (64, 160, 320, 640)
    depths: tuple[int, ...] = (4, 4, 8, 4)
    strides: tuple[int, ...] = (2, 2, 2, 2)
    head_channels: int = 1024
    dropout: float = 0.1
    classifier_bias: bool = False


#: Architectures of the paper's block search, for the preset ``imagenet``.
PUBLISHED = {
    "spos_block": "2,1,0,1,2,0,2,0,2,0,2,3,0,0,0,0,3,2,3,3",
    "all_choice_3": ",".join("0" * 20),
    "all_choice_5": ",".join("1" * 20),
}

PRESETS = {
    "imagenet": Layout(image_size=224),
    "cifar": Layout(image_size=32, stem_stride=1, strides=(1, 2, 2, 2)),
    # About 3M multiply-adds, so that networks are trained in minutes on a CPU core.
    "small": Layout(
        32, 8, 1, (24, 48, 96), depths=(4, 8, 4), strides=(2, 2, 2), head_channels=192, dropout=0.0
    ),
    "tiny": Layout(
        8, 8, 1, (24, 48), depths=(3, 5), strides=(1, 2), head_channels=128, dropout=0.0
    ),
}

DEFAULTS = {**COMMON_DEFAULTS, "small": small_defaults()}


def around(
    layout: Layout, make_block: Callable[[Place], nn.Module], *, classes: int, image_channels: int
) -> nn.Sequential:
    """Build the network of the paper from a layout and a function that builds its blocks.

    Raises:
        UserError: the layout is invalid.
    """
    check_stages(layout)
    channels = (layout.stem_channels, *layout.channels)
    for number, (inputs, outputs) in enumerate(pairwise(channels), 1):
        if outputs % 2 or outputs <= inputs:
            nearest = max(outputs + outputs % 2, inputs + 2 - inputs % 2)
            raise UserError(
                f"stage {number} has {outputs} channels after {inputs}: a stage needs an even "
                f"number above its input's, nearest {nearest}"
            )
    features = nn.Sequential(*map(make_block, places(layout, layout.stem_channels)))
    stem = convolution(image_channels, layout.stem_channels, 3, layout.stem_stride)
    last = convolution(layout.channels[-1], layout.head_channels)
    linear = nn.Linear(layout.head_channels, classes, bias=layout.classifier_bias)
    return nn.Sequential(
        OrderedDict(
            first_conv=nn.Sequential(*stem),
            features=features,
            conv_last=nn.Sequential(*last),
            classifier=classifier(nn.Dropout(layout.dropout), linear),
        )
    )


def candidate_blocks(place: Place, options: Iterable[str]) -> dict[str, nn.Module]:
    """Build the blocks of some options in a place of the network, by the names of the options."""
    mid, first = place.outputs // 2, place.number == 0
    return {option: choice_block(option, *place.sizes, mid, reduction=first) for option in options}


def shufflenetv2(layout: Layout, *, classes: int, image_channels: int = 3) -> Supernet:
    """Build the supernet of the paper's block search.

    Args:
        layout (Layout): layout such as ``PRESETS["imagenet"]``.
        classes (int): number of classes, at least 2.
        image_channels (int): channels of the input, 3 for colour and 1 for greyscale.

    Raises:
        UserError: the layout is invalid.

    Example:
        >>> supernet = shufflenetv2(PRESETS["imagenet"], classes=1000)
        >>> supernet.space.size == 4**20
        True
    """

    def block(place: Place) -> nn.Module:
        return OneOf(candidate_blocks(place, OPTIONS), name=place.name)

    model = around(layout, block, classes=classes, image_channels=image_channels)
    return Supernet(model, (image_channels, layout.image_size, layout.image_size))


SPACES["shufflenetv2"] = Family(
    paper="Guo et al., Single Path One-Shot Neural Architecture Search, ECCV 2020",
    presets=PRESETS,
    build=shufflenetv2,
    defaults=DEFAULTS,
    networks={name: ("imagenet", text) for name, text in PUBLISHED.items()},
)
