"""Mobile networks made by hand, and published architectures of the spaces."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import fx, nn
from torch.nn import functional as F

from spos import UserError
from spos.cost import count_network
from spos.cost.part import run
from spos.spaces import SPACES
from spos.spaces.shufflenetv2_channels import BLOCK_CHANNEL
from spos.spaces.zoo import NETWORKS, build_network
from spos.training.loop import make_optimizer
from spos.training.recipe import Recipe

PUBLISHED_FILE = Path(__file__).resolve().parents[3] / "shared" / "published.json"

#: Multiply-adds and parameters. Those of shufflenet_v2_1.5 are our own count: its paper prints
#: 299 M and 3.5 M.
COSTS = {
    "mobilenet_v1_0.75": (325_400_448, 2_585_560),
    "mobilenet_v2": (300_774_272, 3_504_872),
    "shufflenet_v2_1.5": (298_970_656, 3_507_720),
    "mnasnet_b1": (314_415_872, 4_383_312),
    "fbnet_b": (291_004_424, 4_816_216),
    "proxyless_r": (320_427_584, 4_080_512),
    "spos_block": (322_918_720, 3_558_464),
    "spos_block_channel": (327_857_920, 3_432_579),
    "all_choice_3": (295_842_496, 3_154_880),
    "all_choice_5": (313_654_976, 3_211_968),
}
OF_SPACES = {"fbnet_b": "fbnet", "proxyless_r": "proxylessnas", "spos_block": "shufflenetv2"}


@pytest.mark.parametrize("name", COSTS)
def test_a_network_has_its_published_costs(name):
    with torch.device("meta"):
        network = build_network(name, classes=1000)
        assert run(network, torch.empty(2, 3, 224, 224)).shape == (2, 1000)
    flops, params = COSTS[name]
    assert count_network(network, (3, 224, 224)) == {"flops": flops, "params": params}


@pytest.mark.parametrize("name", [name for name in NETWORKS if NETWORKS[name].scales])
def test_a_narrow_network_costs_about_the_square_of_its_width(name):
    with torch.device("meta"):
        wide, narrow = (
            build_network(name, classes=10, image_size=32, width=width) for width in (1.0, 0.5)
        )
        assert run(narrow, torch.empty(2, 3, 32, 32)).shape == (2, 10)
    full, half = (sum(p.numel() for p in network.parameters()) for network in (wide, narrow))
    assert 0.2 < half / full < 0.4


def test_the_figures_here_are_those_of_the_published_file():
    if not PUBLISHED_FILE.exists():
        pytest.skip("shared/published.json is not beside the repository")
    published = json.loads(PUBLISHED_FILE.read_text())
    by_hand = published["by_hand_and_other_searches"]
    rows = {
        "mobilenet_v1_0.75": by_hand["mobilenet_v1_0.75"],
        "mobilenet_v2": by_hand["mobilenet_v2_1.0"],
        "mnasnet_b1": by_hand["mnasnet_b1"],
        "proxyless_r": published["proxylessnas"]["networks"]["proxyless_r_mobile"],
        **{
            name: published["shufflenetv2_oneshot"]["networks"][name]
            for name in ("spos_block", "all_choice_3", "all_choice_5", "spos_block_channel")
        },
    }
    for name, row in rows.items():
        exact = (round(row["macs_m"] * 1e6), round(row["params_m"] * 1e6))
        assert exact == COSTS[name]
    row = rows["spos_block_channel"]
    indices = [int(option) for option in BLOCK_CHANNEL.split(",")]
    assert indices[::2] == row["arch"]
    assert [round((option + 1) / 5, 1) for option in indices[1::2]] == row["mid_channel_scale"]
    # Of these two the file has rounded figures alone.
    fbnet_b = published["fbnet"]["networks"]["fbnet_b"]
    assert fbnet_b["macs_m"] == round(COSTS["fbnet_b"][0] / 1e6, 1)
    assert fbnet_b["params_m"] == round(COSTS["fbnet_b"][1] / 1e6, 2)
    shufflenet = by_hand["shufflenet_v2_1.5"]
    assert shufflenet["paper_flops_m"] == round(COSTS["shufflenet_v2_1.5"][0] / 1e6)
    assert shufflenet["paper_params_m"] == round(COSTS["shufflenet_v2_1.5"][1] / 1e6, 1)


@pytest.mark.parametrize("name", COSTS)
def test_the_small_variant_keeps_channels_and_resolution_and_learns(name):
    torch.manual_seed(0)
    network = build_network(name, classes=10, image_channels=3, image_size=32).train()
    *_, classifier = (module for module in network.modules() if isinstance(module, nn.Linear))
    features = classifier.in_features + (classifier.bias is not None)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    assert parameters + 990 * features == COSTS[name][1]
    (pool,) = (m for m in network.modules() if isinstance(m, nn.AdaptiveAvgPool2d))
    sides: list[torch.Size] = []
    pool.register_forward_pre_hook(lambda _, inputs: sides.append(inputs[0].shape[2:]))

    recipe = Recipe(steps=10, batch_size=4, learning_rate=0.02, weight_decay=0)
    optimizer = make_optimizer(network, recipe)
    x, y = torch.randn(4, 3, 32, 32), torch.arange(4)
    output = network(x)
    assert output.shape == (4, 10) and sides == [(4, 4)]
    F.cross_entropy(output, y).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
    before = {name: parameter.clone() for name, parameter in network.named_parameters()}
    optimizer.step()
    moved = [not torch.equal(p, before[name]) for name, p in network.named_parameters()]
    assert sum(moved) > 0.9 * len(moved)


@pytest.mark.parametrize("name", OF_SPACES)
def test_the_space_itself_gives_the_same_network(name):
    space = OF_SPACES[name]
    member = SPACES[space]
    with torch.device("meta"):
        supernet = member.build(member.preset("imagenet"), classes=1000)
        expected = supernet.subnet(member.parse(supernet.space, "imagenet", name))
        network = build_network(name, classes=1000)
    assert isinstance(network, fx.GraphModule) and network.code == expected.code
    assert str(network) == str(expected)
    assert [(n, t.shape) for n, t in network.state_dict().items()] == [
        (n, t.shape) for n, t in expected.state_dict().items()
    ]
    assert NETWORKS[name].paper == member.paper


def test_fresh_weights_are_drawn_from_the_seed():
    networks = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        networks.append(build_network("spos_block", classes=10, image_size=32).state_dict())
    first, again, other = networks
    assert all(torch.equal(first[name], again[name]) for name in first)
    convolutions = [name for name, tensor in first.items() if tensor.ndim == 4]
    assert convolutions and not any(torch.equal(first[n], other[n]) for n in convolutions)
    for name, tensor in first.items():
        if name.endswith("running_var"):
            assert torch.equal(tensor, torch.ones_like(tensor))
        if name.endswith("running_mean"):
            assert not tensor.any()
        assert tensor.isfinite().all()


def test_a_mistyped_name_is_one_line():
    with pytest.raises(UserError, match="did you mean 'mobilenet_v2'"):
        build_network("mobilenetv2", classes=10)
