"""The published architectures of the spaces of the catalogue, with fresh weights."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any, cast

import torch
from torch import nn

from spos.spaces import family
from spos.spaces.zoo import NETWORKS, Network


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

    With ``small``, two of five strides are left out: those of the first convolution and of the next
    one, as in the preset ``cifar``.

    Raises:
        UserError: the space has no published network of this name.

    Example:
        >>> network = published_network("fbnet", "fbnet_b", classes=1000)
        >>> sum(parameter.numel() for parameter in network.parameters())
        4816216
    """
    member = family(space)
    layout = member.preset("imagenet")
    if small:
        strides = member.preset("cifar").strides
        layout = replace(layout, image_size=32, stem_stride=1, strides=strides)
    layout = layout.scaled_throughout(width)
    # The weights of the other paths are never drawn.
    with torch.device("meta"):
        supernet = member.build(layout, classes=classes, image_channels=image_channels)
        network = supernet.subnet(member.parse(supernet.space, "imagenet", name))
    network.to_empty(device=torch.get_default_device())
    for module in network.modules():
        if hasattr(module, "reset_parameters"):
            cast(Any, module).reset_parameters()
    return network


for _space in ("shufflenetv2", "shufflenetv2-joint", "fbnet", "proxylessnas"):
    for _name in family(_space).networks:
        build = partial(published_network, _space, _name)
        NETWORKS[_name] = Network(paper=family(_space).paper, build=build, scales=True)
