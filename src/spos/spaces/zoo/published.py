"""The published architectures of the spaces of the catalogue, with fresh weights."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Any, cast

import torch
from torch import nn

from spos._util.errors import UserError, nearest
from spos.spaces import family
from spos.spaces.zoo import NETWORKS, Network

# Strides of the stages in the small-image variant of each space: two of five are left out, that of
# the first convolution and the next one.
_SMALL_STRIDES = {
    "shufflenetv2": (1, 2, 2, 2),
    "shufflenetv2-joint": (1, 2, 2, 2),
    "fbnet": (1, 1, 2, 2, 1, 2, 1),
    "proxylessnas": (1, 2, 2, 1, 2, 1),
}


def published_network(
    space: str,
    name: str,
    *,
    classes: int,
    image_channels: int = 3,
    small: bool = False,
    width: float = 1.0,
) -> nn.Module:
    """A published architecture of a space as a stand-alone network.

    Raises:
        UserError: the space has no published network, or not this one.

    Example:
        >>> network = published_network("fbnet", "fbnet_b", classes=1000)
        >>> sum(parameter.numel() for parameter in network.parameters())
        4816216
    """
    if space not in _SMALL_STRIDES:
        raise UserError(f"unknown space '{space}': {nearest(space, _SMALL_STRIDES)}")
    member = family(space)
    layout = member.preset("imagenet")
    if small:
        layout = replace(layout, image_size=32, stem_stride=1, strides=_SMALL_STRIDES[space])
    if width != 1:
        layout = layout.scaled_throughout(width)
    # The weights of the other paths are never drawn.
    with torch.device("meta"):
        supernet = member.build(layout, classes=classes, image_channels=image_channels)
        network = supernet.subnet(member.parse(supernet.space, "imagenet", name))
    network.to_empty(device=torch.get_default_device())
    for module in network.modules():
        own = chain(module.parameters(recurse=False), module.buffers(recurse=False))
        if next(own, None) is not None:
            cast(Any, module).reset_parameters()
    return network


# Search space of each published architecture of the catalogue.
_OF_SPACES = {
    "spos_block": "shufflenetv2",
    "spos_block_channel": "shufflenetv2-joint",
    "all_choice_3": "shufflenetv2",
    "all_choice_5": "shufflenetv2",
    "fbnet_b": "fbnet",
    "proxyless_r": "proxylessnas",
}

for _name, _space in _OF_SPACES.items():
    NETWORKS[_name] = Network(
        paper=family(_space).paper,
        build=partial(published_network, _space, _name),
        scales=True,
    )
