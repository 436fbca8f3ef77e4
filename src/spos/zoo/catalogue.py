"""The networks by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import nn

from spos.errors import UserError, nearest
from spos.zoo.quantised_resnet import quantised_resnet18

#: At most this side of the input, in pixels, a network is built in its small-image variant.
SMALL_IMAGES = 64


@dataclass(frozen=True)
class Network:
    """A published network.

    Args:
        paper: where it was published.
        build: called with ``classes``, ``image_channels`` and ``small``; with ``small`` its first
            strides are left out, so that images of about 32 pixels keep their resolution.
    """

    paper: str
    build: Callable[..., nn.Module]


NETWORKS: dict[str, Network] = {
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
        name: of :data:`NETWORKS`.
        classes: of its classifier, at least 2.
        image_channels: 3 for colour, 1 for grey images.
        image_size: the side of the input in pixels; up to :data:`SMALL_IMAGES` the small-image
            variant is built.

    Raises:
        UserError: there is no such network.
    """
    if name not in NETWORKS:
        raise UserError(f"unknown network '{name}': {nearest(name, NETWORKS)}")
    return NETWORKS[name].build(
        classes=classes, image_channels=image_channels, small=image_size <= SMALL_IMAGES
    )
