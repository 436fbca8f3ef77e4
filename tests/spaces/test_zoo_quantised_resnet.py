"""Residual networks of uniform bits."""

from __future__ import annotations

import pytest
import torch
from torch import fx
from torch.nn import functional as F

from spos.cost import count_network
from spos.nn import FixedBitsConv2d
from spos.spaces.zoo import NETWORKS, build_network
from spos.training.loop import make_optimizer
from spos.training.recipe import Recipe

NAMES = ["resnet18_w2a2", "resnet18_w3a3", "resnet18_w4a4"]


@pytest.mark.parametrize("name", NAMES)
def test_every_quantised_layer_has_the_bits_of_the_name(name):
    for size, layers in ((224, 16 + 3), (32, 18 + 2)):
        network = build_network(name, classes=10, image_size=size)
        found = [m for m in network.modules() if isinstance(m, FixedBitsConv2d)]
        assert len(found) == layers
        assert {str(layer.pair) for layer in found} == {name.partition("_")[2]}
    assert NETWORKS[name].paper.startswith("He et al.")


@pytest.mark.parametrize("name", NAMES)
def test_the_bit_operations_are_the_square_of_the_bits(name):
    with torch.device("meta"):
        network = build_network(name, classes=1000)
    costs = count_network(network, (3, 224, 224))
    bits = int(name[-1])
    assert costs["flops"] == 1_814_073_344
    assert costs["bitops"] == 1_695_547_392 * bits**2


@pytest.mark.parametrize("traced", [False, True])
def test_a_small_network_learns(traced):
    torch.manual_seed(0)
    network = build_network("resnet18_w2a2", classes=3, image_channels=1, image_size=16)
    if traced:
        network = fx.symbolic_trace(network)
        assert all(type(m).__module__.startswith("torch.") for m in network.modules())
    inputs, targets = torch.randn(12, 1, 16, 16), torch.arange(12) % 3
    optimizer = make_optimizer(network, Recipe(steps=1, batch_size=1, learning_rate=0.02))
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = F.cross_entropy(network(inputs), targets)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
