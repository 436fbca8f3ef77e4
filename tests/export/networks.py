"""Small networks to export."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from spos.export.metadata import Metadata
from spos.spaces import family


def metadata(**changes: Any) -> Metadata:
    facts: dict[str, Any] = {
        "architecture": "1,3",
        "space": "shufflenetv2",
        "channels": 1,
        "image_size": 8,
        "resized_side": 8,
        "decoded_side": 8,
        "mean": (0.3,),
        "std": (0.4,),
        "classes": tuple("abcdefghij"),
        "outputs": 10,
    }
    return Metadata(**{**facts, **changes})


def settle_statistics(network: nn.Module) -> nn.Module:
    """Batch norms as after a training: other statistics than zeros and ones, and weights."""
    random = torch.Generator().manual_seed(1)
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            assert module.running_mean is not None and module.running_var is not None
            module.running_mean.normal_(0, 0.3, generator=random)
            module.running_var.uniform_(0.5, 2, generator=random)
            with torch.no_grad():
                module.weight.uniform_(0.5, 2, generator=random)
                module.bias.normal_(0, 0.3, generator=random)
    return network.eval()


def network_of(space: str, option: int = 1) -> nn.Module:
    """A network of a space of the catalogue, that takes one option wherever it is there."""
    member = family(space)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        supernet = member.build(member.preset("tiny"), classes=10, image_channels=1)
    counts = supernet.space.option_counts
    return settle_statistics(supernet.subnet(min(option, count - 1) for count in counts))
