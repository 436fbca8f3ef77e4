"""The paper's block-search space."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from spos import CostTable, Supernet, UserError
from spos.spaces import SPACES, family
from spos.spaces.shufflenetv2 import OPTIONS, PRESETS, Layout, choice_block, shufflenetv2

PUBLISHED_FILE = Path(__file__).resolve().parents[3] / "shared" / "published.json"

#: Architecture, multiply-adds and parameters, counted on the definition of the authors' release.
PUBLISHED = {
    "spos_block": ("2,1,0,1,2,0,2,0,2,0,2,3,0,0,0,0,3,2,3,3", 322_918_720, 3_558_464),
    "all_choice_3": (",".join("0" * 20), 295_842_496, 3_154_880),
    "all_choice_5": (",".join("1" * 20), 313_654_976, 3_211_968),
}


LAYOUT = Layout(
    image_size=8,
    stem_channels=8,
    stem_stride=1,
    channels=(32, 64),
    depths=(2, 2),
    strides=(1, 2),
    head_channels=128,
)


@pytest.fixture(scope="module")
def imagenet() -> Supernet:
    return shufflenetv2(PRESETS["imagenet"], classes=1000)


@pytest.fixture(scope="module")
def table(imagenet: Supernet) -> CostTable:
    return CostTable(imagenet, eager=False)


def test_the_imagenet_space_has_4_to_the_20_architectures(imagenet):
    assert imagenet.space.size == 4**20
    assert all(choice.options == OPTIONS for choice in imagenet.space.choices)
    assert [choice.name for choice in imagenet.space.choices][3:5] == ["stage1.3", "stage2.0"]


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_networks_have_their_published_costs(name, imagenet, table):
    text, flops, params = PUBLISHED[name]
    architecture = imagenet.space.parse(text)
    assert table.cost(architecture) == {"flops": flops, "params": params}
    network = imagenet.subnet(architecture)
    assert sum(parameter.numel() for parameter in network.parameters()) == params


def test_the_figures_here_are_those_of_the_published_file():
    if not PUBLISHED_FILE.exists():
        pytest.skip("shared/published.json is not beside the repository")
    networks = json.loads(PUBLISHED_FILE.read_text())["shufflenetv2_oneshot"]["networks"]
    for name, (text, flops, params) in PUBLISHED.items():
        published = networks[name]
        assert ",".join(map(str, published["arch"])) == text
        assert round(published["macs_m"] * 1e6) == flops
        assert round(published["params_m"] * 1e6) == params


def test_a_network_gives_one_logit_per_class(imagenet):
    imagenet.activate(imagenet.space.parse(PUBLISHED["spos_block"][0]))
    with torch.no_grad():
        assert imagenet.eval()(torch.zeros(1, 3, 224, 224)).shape == (1, 1000)


@pytest.mark.parametrize("option", OPTIONS)
def test_a_unit_passes_the_even_channels_and_computes_on_the_odd_ones(option):
    unit = choice_block(option, 8, 8, 1, 4, reduction=False).eval()
    x = torch.randn(2, 8, 5, 5)
    with torch.no_grad():
        output = unit(x)
        assert torch.equal(output[:, :4], x[:, 0::2])
        assert torch.equal(output[:, 4:], unit.branch_main(x[:, 1::2]))


@pytest.mark.parametrize("option", OPTIONS)
def test_a_reduction_computes_on_all_channels_twice_the_projection_first(option):
    unit = choice_block(option, 8, 20, 2, 10, reduction=True).eval()
    x = torch.randn(2, 8, 6, 6)
    with torch.no_grad():
        output = unit(x)
        assert output.shape == (2, 20, 3, 3)
        assert torch.equal(output[:, :8], unit.branch_proj(x))
        assert torch.equal(output[:, 8:], unit.branch_main(x))


def test_the_width_scales_the_stages_and_the_costs():
    assert LAYOUT.scaled(0.5).channels == (16, 32)
    assert LAYOUT.scaled(1.05).channels == (32, 68)
    half, whole = (
        CostTable(shufflenetv2(LAYOUT.scaled(width), classes=10)).range() for width in (0.5, 1)
    )
    assert half["flops"][1] < whole["flops"][0]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"channels": (32, 63)}, "stage 2 has 63 channels after 32: .* nearest 64"),
        ({"channels": (8, 64)}, "stage 1 has 8 channels after 8: .* nearest 10"),
        ({"depths": (2,)}, "2 channels, 1 depths, 2 strides"),
        ({"depths": (2, 0)}, "depths .2, 0.: each must be at least 1"),
        ({"strides": (1, 0)}, "strides .1, 0.: each must be at least 1"),
        ({"channels": (), "depths": (), "strides": ()}, "at least 1 stage"),
        ({"stem_stride": 0}, "stem_stride 0"),
        ({"stem_channels": 0}, "stem_channels 0"),
        ({"head_channels": 0}, "head_channels 0"),
        ({"image_size": 0}, "image_size 0"),
        ({"dropout": 1.0}, "dropout 1.0"),
        ({"dropout": -0.1}, "dropout -0.1"),
    ],
)
def test_a_layout_that_does_not_fit_together_is_refused(changes, says):
    with pytest.raises(UserError, match=says) as raised:
        shufflenetv2(replace(LAYOUT, **changes), classes=10)
    assert "\n" not in str(raised.value)


def test_the_catalogue_suggests_the_nearest_name():
    assert family("shufflenetv2").preset("tiny") is PRESETS["tiny"]
    with pytest.raises(UserError, match="unknown preset 'imagenett': did you mean 'imagenet'"):
        SPACES["shufflenetv2"].preset("imagenett")
    with pytest.raises(UserError, match="unknown space 'mobilenet'"):
        family("mobilenet")
