"""ShuffleNetV2 of width 1.5."""

from __future__ import annotations

from typing import Any, cast

from torch import nn

from spos.spaces._stages import Place
from spos.spaces.blocks.shuffle import choice_block
from spos.spaces.shufflenetv2 import Layout, around
from spos.spaces.zoo import NETWORKS, Network


def shufflenet_v2(
    *, classes: int, image_channels: int = 3, small: bool = False, width: float = 1.0
) -> nn.Sequential:
    """ShuffleNetV2 of width 1.5 times ``width``.

    Source: Ma et al., "ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design",
    ECCV 2018, Table 5 and Figure 3.

    Example:
        >>> network = shufflenet_v2(classes=1000)
        >>> round(sum(parameter.numel() for parameter in network.parameters()) / 1e6, 1)
        3.5
    """
    layout = Layout(
        image_size=32 if small else 224,
        stem_channels=24,
        stem_stride=1 if small else 2,
        channels=(176, 352, 704),
        depths=(4, 8, 4),
        strides=(2, 2, 2),
        head_channels=1024,
        dropout=0.0,
        classifier_bias=True,
    ).scaled_throughout(width)

    def block(place: Place) -> nn.Module:
        mid, first = place.outputs // 2, place.number == 0
        return choice_block("shuffle3x3", *place.sizes, mid, reduction=first)

    model = around(layout, block, classes=classes, image_channels=image_channels)
    if not small:
        cast(Any, model).first_conv.append(nn.MaxPool2d(3, 2, 1))
    return model


NETWORKS["shufflenet_v2_1.5"] = Network(
    paper="Ma et al., ShuffleNet V2: Practical Guidelines for Efficient CNNs, ECCV 2018",
    build=shufflenet_v2,
    scales=True,
)
