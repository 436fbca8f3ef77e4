"""MnasNet-B1: MnasNet without squeeze-and-excitation."""

from __future__ import annotations

from torch import nn

from spos.spaces._mobile import MobileLayout, Place, mobile_network
from spos.spaces.blocks.mobile import inverted_residual
from spos.spaces.zoo import NETWORKS, Network

# Kernel and expansion of the blocks of each stage.
_STAGES = ((3, 3), (5, 3), (5, 6), (3, 6), (5, 6), (3, 6))


def mnasnet_b1(*, classes: int, image_channels: int = 3, small: bool = False) -> nn.Sequential:
    """MnasNet-B1.

    It has 314,415,872 multiply-adds and 4,383,312 parameters; the authors report 317 M and 4.2 M.

    Source: Tan et al., "MnasNet: Platform-Aware Neural Architecture Search for Mobile", CVPR 2019,
    and the authors' release for B1.

    Example:
        >>> network = mnasnet_b1(classes=1000)
        >>> sum(parameter.numel() for parameter in network.parameters())
        4383312
    """
    layout = MobileLayout(
        image_size=32 if small else 224,
        stem_channels=32,
        stem_stride=1 if small else 2,
        first_channels=16,
        channels=(24, 40, 80, 96, 192, 320),
        depths=(3, 3, 3, 2, 4, 1),
        strides=(1 if small else 2, 2, 2, 1, 2, 1),
        head_channels=1280,
        dropout=0.2,
    )

    def block(place: Place) -> nn.Module:
        kernel, expansion = _STAGES[place.stage - 1]
        return inverted_residual(place.inputs, place.outputs, kernel, expansion, place.stride)

    return mobile_network(layout, block, classes=classes, image_channels=image_channels)


NETWORKS["mnasnet_b1"] = Network(
    paper="Tan et al., MnasNet: Platform-Aware Neural Architecture Search, CVPR 2019",
    build=mnasnet_b1,
)
