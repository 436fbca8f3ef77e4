"""The space of ProxylessNAS."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from spos import CostTable, Supernet, UserError
from spos.cost import count_network
from spos.spaces import family
from spos.spaces.proxylessnas import OPTIONS, PRESETS, PUBLISHED, proxylessnas

PUBLISHED_FILE = Path(__file__).resolve().parents[3] / "shared" / "published.json"

#: The blocks of each stage that are not skipped.
PROXYLESS_R = [
    ["k5_e3", "k3_e3"],
    ["k7_e3", "k3_e3", "k5_e3", "k5_e3"],
    ["k7_e6", "k5_e3", "k5_e3", "k5_e3"],
    ["k5_e6", "k5_e3", "k5_e3", "k5_e3"],
    ["k7_e6", "k7_e6", "k7_e3", "k7_e3"],
    ["k7_e6"],
]
COSTS = {"flops": 320_427_584, "params": 4_080_512}


@pytest.fixture(scope="module")
def imagenet() -> Supernet:
    with torch.device("meta"):
        return proxylessnas(PRESETS["imagenet"], classes=1000)


@pytest.fixture(scope="module")
def tiny() -> Supernet:
    supernet = proxylessnas(PRESETS["tiny"], classes=10, image_channels=1)
    for module in supernet.modules():
        if isinstance(module, _BatchNorm):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2)
    return supernet.eval()


def test_every_block_but_the_first_of_its_stage_may_be_skipped(imagenet):
    assert len(imagenet.space) == 21
    assert imagenet.space.size == 6**6 * 7**15
    for choice in imagenet.space.choices:
        first = choice.name.endswith(".0")
        assert choice.options == (OPTIONS[:-1] if first else OPTIONS)
    assert imagenet.space.choices[-1].name == "stage6.0"


def test_proxyless_r_has_its_published_costs(imagenet):
    architecture = family("proxylessnas").parse(imagenet.space, "imagenet", "proxyless_r")
    names = list(imagenet.space.names(architecture).values())
    for number, blocks in enumerate(PROXYLESS_R):
        stage = names[4 * number : 4 * number + 4]
        assert stage == blocks + ["skip"] * (len(stage) - len(blocks))
    assert CostTable(imagenet, eager=False).cost(architecture) == COSTS
    assert count_network(imagenet.subnet(architecture), (3, 224, 224)) == COSTS


def test_with_24_channels_it_would_cost_what_the_module_says():
    layout = replace(PRESETS["imagenet"], channels=(24, 40, 80, 96, 192, 320))
    with torch.device("meta"):
        supernet = proxylessnas(layout, classes=1000)
    costs = CostTable(supernet, eager=False).cost(supernet.space.parse(PUBLISHED["proxyless_r"]))
    assert costs == {"flops": 304_227_008, "params": 4_073_520}


def test_the_figures_here_are_those_of_the_published_file():
    if not PUBLISHED_FILE.exists():
        pytest.skip("shared/published.json is not beside the repository")
    published = json.loads(PUBLISHED_FILE.read_text())["proxylessnas"]
    assert tuple(published["options"]) == OPTIONS
    network = published["networks"]["proxyless_r_mobile"]
    assert network["stages"] == PROXYLESS_R
    assert round(network["macs_m"] * 1e6) == COSTS["flops"]
    assert round(network["params_m"] * 1e6) == COSTS["params"]


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_runs_in_every_option(preset):
    with torch.device("meta"):
        supernet = proxylessnas(PRESETS[preset], classes=10)
    # Every option stands somewhere in these.
    for first in (0, 4):
        counts = supernet.space.option_counts
        supernet.activate([(first + i) % count for i, count in enumerate(counts)])
        assert supernet(torch.empty(2, *supernet.input_shape, device="meta")).shape == (2, 10)


def test_an_image_of_32_pixels_ends_at_4():
    with torch.device("meta"):
        supernet = proxylessnas(PRESETS["cifar"], classes=10)
    x = torch.empty(1, 3, 32, 32, device="meta")
    for stage in supernet.stages[:-2]:
        x = stage.module(x)
    assert x.shape == (1, 160, 4, 4)


@settings(max_examples=15)
@given(st.lists(st.integers(0, 6), min_size=7, max_size=7))
def test_a_subnet_computes_what_the_path_computes_bit_for_bit(tiny, options):
    options = [min(o, n - 1) for o, n in zip(options, tiny.space.option_counts, strict=True)]
    x = torch.randn(3, 1, 8, 8)
    tiny.activate(options)
    network = tiny.subnet(options)
    with torch.no_grad():
        assert torch.equal(network(x), tiny(x))
    assert {type(m).__module__.split(".")[0] for m in network.children()} <= {"torch"}


def test_the_costs_of_random_architectures_are_those_of_their_networks(tiny):
    table = CostTable(tiny)
    bounds = table.range()
    for text in ("0,1,2,3,4,5,6", "0,6,6,0,6,6,6", "5,5,5,5,5,5,5", "1,6,3,2,5,6,4"):
        architecture = tiny.space.parse(text)
        costs = table.cost(architecture)
        assert costs == count_network(tiny.subnet(architecture), (1, 8, 8))
        assert all(bounds[name][0] <= cost <= bounds[name][1] for name, cost in costs.items())
    assert table.cost(tiny.space.parse("0,6,6,0,6,6,6"))["flops"] == bounds["flops"][0]


def test_the_activations_are_limited_to_6(tiny):
    assert not any(type(module) is nn.ReLU for module in tiny.modules())


def test_a_layout_that_does_not_fit_together_is_refused():
    with pytest.raises(UserError, match="2 stage channels, 1 depths and 2 strides"):
        proxylessnas(replace(PRESETS["tiny"], depths=(3,)), classes=10)


def test_proxyless_r_is_of_the_preset_imagenet(tiny):
    with pytest.raises(UserError, match="is of the preset imagenet, not of tiny"):
        family("proxylessnas").parse(tiny.space, "tiny", "proxyless_r")
    assert set(family("proxylessnas").networks) == set(PUBLISHED) == {"proxyless_r"}
