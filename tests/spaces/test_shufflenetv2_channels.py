"""Channel search, alone and joint with block search."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spos import CostTable, Supernet, UserError
from spos.spaces import SPACES
from spos.spaces.shufflenetv2_channels import (
    BLOCK_CHANNEL,
    CHANNEL_PRESETS,
    JOINT_PRESETS,
    fixed_blocks,
    shufflenetv2_channels,
)

LAYOUT = replace(JOINT_PRESETS["tiny"], channels=(16, 24), depths=(1, 2), scales=(0.4, 1.0, 2.0))


@pytest.fixture(scope="module")
def joint() -> Supernet:
    torch.manual_seed(0)
    return shufflenetv2_channels(LAYOUT, classes=10, image_channels=1).eval()


def test_the_published_network_of_blocks_and_channels_has_its_published_costs():
    with torch.device("meta"):
        supernet = shufflenetv2_channels(JOINT_PRESETS["imagenet"], classes=1000)
    assert supernet.space.size == 40**20
    costs = CostTable(supernet, eager=False).cost(supernet.space.parse(BLOCK_CHANNEL))
    assert costs == {"flops": 327_857_920, "params": 3_432_579}


def test_scale_1_is_the_network_of_the_block_search():
    with torch.device("meta"):
        supernet = shufflenetv2_channels(CHANNEL_PRESETS["imagenet"], classes=1000)
    assert supernet.space.size == 10**20
    assert CostTable(supernet, eager=False).cost([4] * 20) == {
        "flops": 295_842_496,
        "params": 3_154_880,
    }


@given(data=st.data(), training=st.booleans())
def test_the_subnet_is_the_path_bit_for_bit(joint, data, training):
    architecture = [data.draw(st.integers(0, n - 1)) for n in joint.space.option_counts]
    joint.train(training)
    joint.activate(architecture)
    network = joint.subnet(architecture)
    inputs = torch.randn(3, 1, 8, 8)
    with torch.no_grad():
        assert torch.equal(network(inputs), joint(inputs))
    assert all(type(module).__module__.startswith("torch.") for module in network.modules())


def test_fractions_of_channels_are_cut_off():
    supernet = shufflenetv2_channels(
        replace(LAYOUT, blocks="shuffle3x3", scales=(0.3,)), classes=10, image_channels=1
    )
    assert supernet.subnet([0, 0, 0]).get_submodule("features.0.branch_main.0").out_channels == 2


def test_blocks_are_fixed_one_by_one():
    assert fixed_blocks(replace(LAYOUT, blocks="0,3,1")) == [
        "shuffle3x3",
        "xception3x3",
        "shuffle5x5",
    ]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"blocks": "shufle3x3"}, "layout.blocks shufle3x3: did you mean 'shuffle3x3'"),
        ({"blocks": "0,1"}, "layout.blocks 0,1: give 3 numbers from 0 to 3, one per block"),
        ({"blocks": "0,1,4"}, "give 3 numbers from 0 to 3"),
        ({"scales": (1.0, 0.5)}, "layout.scales 1.0, 0.5: give numbers above 0"),
        ({"scales": ()}, "layout.scales : give numbers"),
        ({"scales": (0.0, 0.5)}, "give numbers above 0"),
    ],
)
def test_a_wrong_layout_is_one_line(changes, told):
    with pytest.raises(UserError, match=told):
        shufflenetv2_channels(replace(LAYOUT, **changes), classes=10)


@pytest.mark.parametrize("name", SPACES)
def test_published_architectures_are_found_by_name(name):
    family = SPACES[name]
    for network, (preset, _) in family.networks.items():
        with torch.device("meta"):
            layout = family.preset(preset)
            space = family.build(layout, classes=10).space
        assert family.parse(space, preset, network) in space
        with pytest.raises(UserError, match=f"of the preset {preset}, not of other"):
            family.parse(space, "other", network)
        with pytest.raises(UserError, match=f"did you mean '{network}'"):
            family.parse(space, preset, f"{network}_")
