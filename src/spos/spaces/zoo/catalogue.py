"""Published networks by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import nn

from spos._util.errors import UserError, nearest
from spos.spaces import SPACES
from spos.spaces.zoo.cells import darts_v2_imagenet, nasnet_a_mobile, pnasnet_5_mobile
from spos.spaces.zoo.mnasnet import mnasnet_b1
from spos.spaces.zoo.mobilenet import mobilenet_v1, mobilenet_v2
from spos.spaces.zoo.published import published_network
from spos.spaces.zoo.quantised_resnet import quantised_resnet18
from spos.spaces.zoo.shufflenetv2 import shufflenet_v2

SMALL_IMAGES = 64
"""Largest side of the input in pixels for which the small-image variant is built."""


@dataclass(frozen=True)
class Network:
    """A published network.

    Args:
        paper (str): publication.
        build (Callable): called with ``classes``, ``image_channels`` and ``small``; with ``small``
            the first strides are left out, so that images of 32 pixels keep their resolution.
    """

    paper: str
    build: Callable[..., nn.Module]


# Search space of each published architecture of the catalogue.
_OF_SPACES = {
    "spos_block": "shufflenetv2",
    "spos_block_channel": "shufflenetv2-joint",
    "all_choice_3": "shufflenetv2",
    "all_choice_5": "shufflenetv2",
    "fbnet_b": "fbnet",
    "proxyless_r": "proxylessnas",
}

NETWORKS: dict[str, Network] = {
    "mobilenet_v1_0.75": Network(
        paper="Howard et al., MobileNets, 2017",
        build=partial(mobilenet_v1, 0.75),
    ),
    "mobilenet_v2": Network(
        paper="Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks, CVPR 2018",
        build=mobilenet_v2,
    ),
    "shufflenet_v2_1.5": Network(
        paper="Ma et al., ShuffleNet V2: Practical Guidelines for Efficient CNNs, ECCV 2018",
        build=shufflenet_v2,
    ),
    "mnasnet_b1": Network(
        paper="Tan et al., MnasNet: Platform-Aware Neural Architecture Search, CVPR 2019",
        build=mnasnet_b1,
    ),
    "nasnet_a_mobile": Network(
        paper="Zoph et al., Learning Transferable Architectures, CVPR 2018",
        build=nasnet_a_mobile,
    ),
    "pnasnet_5_mobile": Network(
        paper="Liu et al., Progressive Neural Architecture Search, ECCV 2018",
        build=pnasnet_5_mobile,
    ),
    "darts_v2_imagenet": Network(
        paper="Liu et al., DARTS: Differentiable Architecture Search, ICLR 2019",
        build=darts_v2_imagenet,
    ),
    **{
        name: Network(paper=SPACES[space].paper, build=partial(published_network, space, name))
        for name, space in _OF_SPACES.items()
    },
    **{
        f"resnet18_{pair}": Network(
            paper="He et al., Deep Residual Learning for Image Recognition, CVPR 2016",
            build=partial(quantised_resnet18, pair),
        )
        for pair in ("w2a2", "w3a3", "w4a4")
    },
}


def build_network(
    name: str, *, classes: int, image_channels: int = 3, image_size: int = 224
) -> nn.Module:
    """Build a published network with fresh weights.

    Args:
        name (str): key of :data:`NETWORKS`.
        classes (int): number of classes, at least 2.
        image_channels (int): 3 for colour, 1 for grey images.
        image_size (int): side of the input in pixels; up to :data:`SMALL_IMAGES` the small-image
            variant is built.

    Raises:
        UserError: the network is unknown.
    """
    if name not in NETWORKS:
        raise UserError(f"unknown network '{name}': {nearest(name, NETWORKS)}")
    return NETWORKS[name].build(
        classes=classes, image_channels=image_channels, small=image_size <= SMALL_IMAGES
    )
