"""A custom cost: the number of convolutions of a network."""

from typing import Any

from torch import nn

from spos.cost import Cost, register_cost
from spos.cost.part import run


def count_convolutions(network: nn.Module, value: Any) -> tuple[int, Any]:
    layers = sum(isinstance(module, nn.Conv2d) for module in network.modules())
    return layers, run(network, value)


register_cost(Cost("convolutions", label="convolution layers", counter=count_convolutions))
