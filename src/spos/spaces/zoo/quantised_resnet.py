"""ResNet-18 of uniform bit-width: the baseline of a mixed-precision search."""

from __future__ import annotations

from functools import partial

from torch import nn

from spos.spaces.resnet_bits import PRESETS, uniform
from spos.spaces.zoo import NETWORKS, Network


def quantised_resnet18(
    pair: str, *, classes: int, image_channels: int = 3, small: bool = False
) -> nn.Module:
    """ResNet-18 of uniform bit-width, with first convolution and classifier in full precision.

    Layers keep their classes, which know their bits, so that bit operations can be counted;
    ``torch.fx.symbolic_trace`` turns them into operations of torch.
    With ``small`` it is the ResNet-20 of the preset ``cifar`` of the space ``resnet-bits``.

    Raises:
        UserError: the pair is invalid.

    Source: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, Table 1; quantised
    as in Guo et al., "Single Path One-Shot Neural Architecture Search", ECCV 2020.

    Example:
        >>> network = quantised_resnet18("w3a3", classes=10, small=True)
        >>> sum(parameter.numel() for parameter in network.parameters())
        272514
    """
    layout = PRESETS["cifar" if small else "imagenet"]
    return uniform(layout, pair, classes=classes, image_channels=image_channels)


for _pair in ("w2a2", "w3a3", "w4a4"):
    NETWORKS[f"resnet18_{_pair}"] = Network(
        paper="He et al., Deep Residual Learning for Image Recognition, CVPR 2016",
        build=partial(quantised_resnet18, _pair),
    )
