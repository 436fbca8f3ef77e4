"""The mixed-precision space: what is quantised, what is chosen, what it costs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from spos import Constraint, CostTable, Supernet, UserError
from spos.cost import count_network
from spos.nn import FixedBitsConv2d
from spos.spaces import family
from spos.spaces.resnet_bits import PAIRS, PRESETS, BitsLayout, resnet_bits, uniform

PUBLISHED_FILE = Path(__file__).resolve().parents[3] / "shared" / "published.json"

#: Multiply-adds of the whole network, and of its quantised layers: all but the first convolution
#: (7 x 7 x 3 x 64 x 112 x 112) and the classifier (512 x 1000).
MULTIPLY_ADDS = {
    "imagenet": (1_814_073_344, 1_814_073_344 - 118_013_952 - 512_000),
    "imagenet34": (3_663_761_408, 3_663_761_408 - 118_013_952 - 512_000),
}
#: Bit operations of uniform bits, in units of 2**30 and rounded.
UNIFORM = {
    ("imagenet", "w2a2"): 6.316,
    ("imagenet", "w3a3"): 14.212,
    ("imagenet", "w4a4"): 25.266,
    ("imagenet34", "w2a2"): 13.207,
    ("imagenet34", "w3a3"): 29.716,
    ("imagenet34", "w4a4"): 52.828,
}

SMALL = replace(PRESETS["tiny"], channels=(8, 12), depths=(1, 2))
SEARCHED = {
    "blocks": SMALL,
    "layers": replace(SMALL, depths=(1, 1), per_layer=True, bits=("w1a2", "w2a4")),
    "channels": replace(SMALL, bits=("w1a2", "w4a4"), scales=(0.5, 1.0, 1.5)),
    "both": replace(SMALL, depths=(1, 1), per_layer=True, bits=("w1a2", "w2a4"), scales=(0.5, 1.0)),
}


def on_meta(layout: BitsLayout) -> Supernet:
    with torch.device("meta"):
        return resnet_bits(layout, classes=1000)


@pytest.fixture(scope="module")
def imagenet() -> Supernet:
    return on_meta(PRESETS["imagenet"])


@pytest.mark.parametrize(("preset", "blocks"), [("imagenet", 8), ("imagenet34", 16), ("cifar", 9)])
def test_every_block_chooses_of_the_pairs_of_the_paper(preset, blocks):
    space = on_meta(PRESETS[preset]).space
    assert space.size == 6**blocks
    assert {choice.options for choice in space.choices} == {PAIRS}
    assert [choice.name for choice in space.choices][:2] == ["stage1.0.bits", "stage1.1.bits"]


def test_the_pairs_are_those_of_the_published_file():
    assert PAIRS == ("w1a2", "w2a2", "w1a4", "w2a4", "w3a4", "w4a4")
    if not PUBLISHED_FILE.exists():
        pytest.skip("shared/published.json is not beside the repository")
    published = json.loads(PUBLISHED_FILE.read_text())["paper_tables"]["recalled_not_rechecked"]
    pairs = published["mixed_precision_bit_pairs"]
    assert tuple(f"w{weights}a{activations}" for weights, activations in pairs) == PAIRS


@pytest.mark.parametrize(("preset", "pair"), UNIFORM)
def test_uniform_bits_cost_what_the_hand_computes(preset, pair):
    whole, quantised = MULTIPLY_ADDS[preset]
    with torch.device("meta"):
        network = uniform(PRESETS[preset], pair, classes=1000)
    costs = count_network(network, (3, 224, 224))
    bits = int(pair[1])
    assert costs["flops"] == whole
    assert costs["bitops"] == quantised * bits * bits
    assert round(costs["bitops"] / 2**30, 3) == UNIFORM[preset, pair]
    weights = sum(m.weight.numel() for m in network.modules() if isinstance(m, FixedBitsConv2d))
    assert costs["model_bits"] == bits * weights + 32 * (costs["params"] - weights)


def test_resnet18_has_its_parameters_and_two_steps_a_quantised_layer(imagenet):
    costs = CostTable(imagenet, eager=False).cost([0] * 8)
    assert costs["params"] == 11_689_512 + 2 * (16 + 3)


def test_a_path_of_equal_bits_costs_what_the_uniform_network_costs(imagenet):
    table = CostTable(imagenet, eager=False)
    assert table.names == ("flops", "params", "bitops", "model_bits")
    for pair in ("w2a2", "w4a4"):
        with torch.device("meta"):
            network = uniform(PRESETS["imagenet"], pair, classes=1000)
        expected = count_network(network, (3, 224, 224))
        assert table.cost([PAIRS.index(pair)] * 8) == expected


@pytest.mark.parametrize("name", SEARCHED)
def test_the_costs_of_a_path_are_those_of_its_network(name):
    supernet = resnet_bits(SEARCHED[name], classes=10)
    table = CostTable(supernet)
    rows = supernet.space.sample_many(8, np.random.default_rng(0))
    many = table.many(rows).tolist()
    for row, costs in zip(rows.tolist(), many, strict=True):
        expected = count_network(supernet.extract(row), supernet.input_shape)
        assert dict(zip(table.names, costs, strict=True)) == expected == table.cost(row)
        stages = table.stages(row)
        assert {cost: sum(s[cost] for s in stages) for cost in table.names} == expected
    everything = table.many(np.array(list(supernet.space)))
    bounds = zip(everything.min(axis=0).tolist(), everything.max(axis=0).tolist(), strict=True)
    assert table.range() == dict(zip(table.names, bounds, strict=True))


def test_a_bound_on_bit_operations_is_one_of_a_space_with_bits():
    bits = CostTable(resnet_bits(SMALL, classes=10))
    least, largest = bits.range()["bitops"]
    Constraint(maximum={"bitops": (least + largest) / 2}).check(bits)
    with pytest.raises(UserError, match="no network of this space satisfies max bitops"):
        Constraint(maximum={"bitops": least - 1}).check(bits)
    layout = family("shufflenetv2").preset("tiny")
    without = CostTable(family("shufflenetv2").build(layout, classes=10), eager=False)
    with pytest.raises(UserError, match=r"unknown cost 'bitops': .*flops, params"):
        Constraint(maximum={"bitops": 1e9}).check(without)


@pytest.mark.parametrize("name", SEARCHED)
@settings(max_examples=5)
@given(data=st.data(), training=st.booleans())
def test_a_subnet_is_the_active_path_bit_for_bit(name, data, training):
    torch.manual_seed(0)
    supernet = resnet_bits(SEARCHED[name], classes=10).train(training)
    architecture = data.draw(
        st.tuples(*(st.integers(0, count - 1) for count in supernet.space.option_counts))
    )
    supernet.activate(architecture)
    inputs = torch.randn(4, *supernet.input_shape)
    network = supernet.subnet(architecture)
    with torch.no_grad():
        assert torch.equal(network(inputs), supernet(inputs))
    assert all(type(module).__module__.startswith("torch.") for module in network.modules())


def test_the_layout_options_are_choices_of_their_own():
    layers = resnet_bits(SEARCHED["layers"], classes=10).space
    assert [choice.name for choice in layers.choices] == [
        "stage1.0.conv1.bits",
        "stage1.0.conv2.bits",
        "stage2.0.conv1.bits",
        "stage2.0.conv2.bits",
        "stage2.0.shortcut.bits",
    ]
    channels = resnet_bits(SEARCHED["channels"], classes=10).space
    named = {choice.name: choice for choice in channels.choices}
    assert named["stage2.1.channels"].options == ("0.5", "1.0", "1.5")
    assert named["stage2.1.channels"].ordered
    assert len(named) == 6


def test_first_and_last_layer_keep_full_precision_and_shortcuts_do_not():
    network = resnet_bits(SMALL, classes=10).extract([1, 3, 5])
    layers = {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, (FixedBitsConv2d, nn.Conv2d, nn.Linear))
    }
    full = [name for name, layer in layers.items() if not isinstance(layer, FixedBitsConv2d)]
    assert full == ["stem.0", "classifier.2"]
    pairs = {n: str(m.pair) for n, m in layers.items() if isinstance(m, FixedBitsConv2d)}
    assert pairs["stage2.0.main.0"] == pairs["stage2.0.shortcut.0"] == "w2a4"
    assert pairs["stage2.1.main.3"] == "w4a4"


def test_the_width_scales_the_channels():
    assert PRESETS["cifar"].scaled(2).channels == (32, 64, 128)
    with pytest.raises(UserError, match="width 0: must be a number above 0"):
        PRESETS["cifar"].scaled(0)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"bits": ("w2a2", "w9a2")}, "bits 'w9a2': .* each 1 to 8; nearest w8a2"),
        ({"bits": ("2-2",)}, "bits '2-2': write w2a4"),
        ({"bits": ()}, "choice 'stage1.0.bits' has no option"),
        ({"bits": ("w2a2", "w2a2")}, "names an option twice"),
        ({"weights": "dorefa2"}, "unknown weight quantiser 'dorefa2': did you mean 'dorefa'"),
        ({"activations": "pacct"}, "unknown activation quantiser 'pacct': did you mean 'pact'"),
        ({"scales": (1.0, 0.5)}, "layout.scales 1.0, 0.5: give numbers above 0"),
        ({"scales": (0.0,)}, "layout.scales 0.0: give numbers above 0"),
        ({"depths": (1,)}, "2 channels, 1 depths, 2 strides"),
        ({"channels": (), "depths": (), "strides": ()}, "at least 1 stage"),
        ({"channels": (8, 0)}, "channels .8, 0.: each must be at least 1"),
        ({"strides": (1, 0)}, "strides .1, 0.: each must be at least 1"),
        ({"stem_kernel": 4}, "stem_kernel 4: must be odd"),
        ({"stem_stride": 0}, "stem_stride 0: must be at least 1"),
        ({"image_size": 0}, "image_size 0: must be at least 1"),
    ],
)
def test_a_layout_that_does_not_fit_together_is_refused(changes, says):
    with pytest.raises(UserError, match=says) as raised:
        resnet_bits(replace(SMALL, **changes), classes=10)
    assert "\n" not in str(raised.value)


def test_a_uniform_network_of_a_wrong_pair_is_refused():
    with pytest.raises(UserError, match="bits 'w3': write w2a4"):
        uniform(SMALL, "w3", classes=10)
