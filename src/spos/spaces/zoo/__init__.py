"""Published networks to compare with: plain torch modules, costs as published."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from spos._util.errors import UserError
from spos._util.registry import Registry

#: Largest side of the input in pixels for which the small-image variant is built.
SMALL_IMAGES = 64


@dataclass(frozen=True)
class Network:
    """A published network.

    Args:
        paper (str): publication.
        build (Callable): called with ``classes``, ``image_channels`` and ``small``; with ``small``
            the first strides are left out, so that images of 32 pixels keep their resolution.
        scales (bool): whether ``build`` takes a ``width``, a factor of all channels.
    """

    paper: str
    build: Callable[..., nn.Module]
    scales: bool = False


#: Published networks by name: files of this folder, or plug-ins.
NETWORKS: Registry[Network] = Registry("network", "spos.spaces.zoo", "spos.networks", several=True)


def build_network(
    name: str, *, classes: int, image_channels: int = 3, image_size: int = 224, width: float = 1.0
) -> nn.Module:
    """Build a published network with fresh weights.

    Args:
        name (str): key of :data:`NETWORKS`.
        classes (int): number of classes, at least 2.
        image_channels (int): 3 for colour, 1 for grey images.
        image_size (int): side of the input in pixels; up to :data:`SMALL_IMAGES` the small-image
            variant is built.
        width (float): factor of all channels, above 0.

    Raises:
        UserError: the network is unknown, or does not scale.

    Example:
        >>> network = build_network("mobilenet_v2", classes=10, width=0.25)
        >>> sum(parameter.numel() for parameter in network.parameters())
        161770
    """
    network = NETWORKS.find(name)
    if width != 1 and not network.scales:
        able = ", ".join(one for one in NETWORKS if NETWORKS[one].scales)
        raise UserError(
            f"network.width {width}: '{name}' has one width; those with more are {able}"
        )
    scaled = {"width": width} if network.scales else {}
    small = image_size <= SMALL_IMAGES
    return network.build(classes=classes, image_channels=image_channels, small=small, **scaled)
