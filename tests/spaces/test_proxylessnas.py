"""The space of ProxylessNAS."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

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
    with torch.device("meta"):
        return proxylessnas(PRESETS["tiny"], classes=10, image_channels=1)


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


def test_an_image_of_32_pixels_ends_at_4():
    with torch.device("meta"):
        supernet = proxylessnas(PRESETS["cifar"], classes=10)
    x = torch.empty(1, 3, 32, 32, device="meta")
    for stage in supernet.stages[:-2]:
        x = stage.module(x)
    assert x.shape == (1, 160, 4, 4)


def test_the_activations_are_limited_to_6(tiny):
    assert not any(type(module) is nn.ReLU for module in tiny.modules())


def test_a_layout_that_does_not_fit_together_is_refused():
    with pytest.raises(UserError, match="2 channels, 1 depths, 2 strides"):
        proxylessnas(replace(PRESETS["tiny"], depths=(3,)), classes=10)


def test_proxyless_r_is_of_the_preset_imagenet(tiny):
    with pytest.raises(UserError, match="is of the preset imagenet, not of tiny"):
        family("proxylessnas").parse(tiny.space, "tiny", "proxyless_r")
    assert set(family("proxylessnas").networks) == set(PUBLISHED) == {"proxyless_r"}
