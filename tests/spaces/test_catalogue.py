"""What holds for every space of the catalogue."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spos import Supernet
from spos.cost import count_network
from spos.cost.part import run
from spos.spaces import SPACES, family

PRESETS = [(name, preset) for name in SPACES for preset in SPACES[name].presets]
TINY = [name for name in SPACES if "tiny" in SPACES[name].presets]


@cache
def tiny(name: str) -> Supernet:
    torch.manual_seed(0)
    supernet = family(name).build(family(name).preset("tiny"), classes=10, image_channels=1)
    with torch.no_grad():
        # Statistics as after some training.
        supernet.train()
        for seed in range(3):
            supernet.activate(supernet.space.sample(np.random.default_rng(seed)))
            supernet(torch.randn(8, *supernet.input_shape))
    return supernet.eval()


@pytest.mark.parametrize(("name", "preset"), PRESETS)
def test_every_preset_runs_in_every_option(name: str, preset: str):
    with torch.device("meta"):
        supernet = family(name).build(family(name).preset(preset), classes=10)
    counts = supernet.space.option_counts
    inputs = torch.empty(2, *supernet.input_shape, device="meta")
    for option in range(max(counts)):
        supernet.activate([min(option, count - 1) for count in counts])
        # As costs are counted: of batch norms shapes alone, thirty operations fewer each.
        assert run(supernet, inputs).shape == (2, 10)
    assert family(name).plan(preset).supernet.steps > 0


@pytest.mark.parametrize("name", TINY)
@settings(max_examples=5)
@given(seed=st.integers(0, 10**6))
def test_a_subnet_computes_what_the_path_computes_bit_for_bit(name: str, seed: int):
    supernet = tiny(name)
    architecture = supernet.space.sample(np.random.default_rng(seed))
    inputs = torch.randn(3, *supernet.input_shape)
    supernet.activate(architecture)
    network = supernet.subnet(architecture)
    with torch.no_grad():
        assert torch.equal(network(inputs), supernet(inputs))
    parts = list(network.modules())[1:]
    assert {type(part).__module__.split(".")[0] for part in parts} == {"torch"}


@pytest.mark.parametrize("name", TINY)
def test_the_costs_of_random_architectures_are_those_of_their_networks(name: str):
    supernet = tiny(name)
    table = family(name).costs(supernet)
    bounds = table.range()
    for row in supernet.space.sample_many(2, np.random.default_rng(1)):
        costs = table.cost(row)
        counted = count_network(supernet.subnet(row), supernet.input_shape)
        assert {cost: costs[cost] for cost in counted} == counted
        assert all(bounds[cost][0] <= value <= bounds[cost][1] for cost, value in costs.items())
