"""Block search space of the paper, based on ShuffleNetV2.

Sources: Guo et al., Section 4 and Table 1; Ma et al., "ShuffleNet V2", ECCV 2018, for the unit.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from spos._util.errors import UserError
from spos.nn import OneOf
from spos.nn.supernet import Supernet
from spos.spaces import SPACES, Family
from spos.spaces._layout import StagedLayout, check_dropout, check_positive, check_stages
from spos.spaces.blocks.shuffle import OPTIONS, choice_block, pointwise
from spos.training.recipes import PLANS


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
    "tiny": Layout(
        image_size=8,
        stem_channels=8,
        stem_stride=1,
        channels=(24, 48),
        depths=(3, 5),
        strides=(1, 2),
        head_channels=128,
        dropout=0.0,
    ),
}


def check_layout(layout: Layout) -> None:
    """Check a layout.

    Raises:
        UserError: a setting is out of range, or the settings have different numbers of stages.
    """
    check_stages(layout, "depths", "strides")
    check_positive(layout, "image_size", "stem_channels", "stem_stride", "head_channels")
    check_dropout(layout)
    inputs = layout.stem_channels
    for number, outputs in enumerate(layout.channels, 1):
        if outputs % 2 or outputs <= inputs:
            nearest = max(outputs + outputs % 2, inputs + 2 - inputs % 2)
            raise UserError(
                f"stage {number} has {outputs} channels after {inputs}: a stage needs an even "
                f"number above its input's, nearest {nearest}"
            )
        inputs = outputs


#: Builds a choice block from its name, input channels, output channels, stride, and whether it is
#: the first of its stage.
MakeBlock = Callable[[str, int, int, int, bool], nn.Module]


def around(
    layout: Layout, make_block: MakeBlock, *, classes: int, image_channels: int
) -> nn.Sequential:
    """Build the network of the paper from a layout and a function that builds its blocks.

    Raises:
        UserError: the layout is invalid.
    """
    check_layout(layout)
    blocks: list[nn.Module] = []
    inputs = layout.stem_channels
    stages = zip(layout.channels, layout.depths, layout.strides, strict=True)
    for stage, (outputs, depth, stage_stride) in enumerate(stages, 1):
        for number in range(depth):
            first = number == 0
            stride = stage_stride if first else 1
            blocks.append(make_block(f"stage{stage}.{number}", inputs, outputs, stride, first))
            inputs = outputs
    stem = nn.Conv2d(image_channels, layout.stem_channels, 3, layout.stem_stride, 1, bias=False)
    norm = nn.BatchNorm2d(layout.stem_channels)
    parts: OrderedDict[str, nn.Module] = OrderedDict(
        first_conv=nn.Sequential(stem, norm, nn.ReLU(inplace=True)),
        features=nn.Sequential(*blocks),
        conv_last=nn.Sequential(*pointwise(inputs, layout.head_channels)),
        classifier=nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Dropout(layout.dropout),
            nn.Linear(layout.head_channels, classes, bias=layout.classifier_bias),
        ),
    )
    return nn.Sequential(parts)


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

    def block(name: str, inputs: int, outputs: int, stride: int, first: bool) -> nn.Module:
        candidates = {
            option: choice_block(option, inputs, outputs, outputs // 2, stride, reduction=first)
            for option in OPTIONS
        }
        return OneOf(candidates, name=name)

    model = around(layout, block, classes=classes, image_channels=image_channels)
    return Supernet(model, (image_channels, layout.image_size, layout.image_size))


SPACES["shufflenetv2"] = Family(
    paper="Guo et al., Single Path One-Shot Neural Architecture Search, ECCV 2020",
    presets=PRESETS,
    build=shufflenetv2,
    plans=PLANS,
    networks={name: ("imagenet", text) for name, text in PUBLISHED.items()},
)
