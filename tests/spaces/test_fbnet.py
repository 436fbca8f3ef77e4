"""The space of FBNet."""

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
from spos.spaces.fbnet import OPTIONS, PRESETS, PUBLISHED, fbnet

PUBLISHED_FILE = Path(__file__).resolve().parents[3] / "shared" / "published.json"

FBNET_B = [
    *("k3_e1", "k3_e6", "k5_e1", "k3_e1", "k3_e1", "k5_e6", "k5_e3", "k3_e6", "k5_e6", "k5_e6"),
    *("k5_e6", "skip", "k5_e3", "k5_e6", "k3_e1", "k5_e1", "k5_e3", "k5_e6", "k5_e1", "k5_e6"),
    *("k5_e6", "k3_e6"),
]
#: The layers of the presets for ImageNet and CIFAR that change the shape.
CHANGING = (1, 5, 9, 13, 17, 21)


@pytest.fixture(scope="module")
def imagenet() -> Supernet:
    with torch.device("meta"):
        return fbnet(PRESETS["imagenet"], classes=1000)


@pytest.fixture(scope="module")
def tiny() -> Supernet:
    with torch.device("meta"):
        return fbnet(PRESETS["tiny"], classes=10, image_channels=1)


def test_the_imagenet_space_has_9_to_the_22_architectures(imagenet):
    assert imagenet.space.size == 9**22
    assert all(choice.options == OPTIONS for choice in imagenet.space.choices)
    names = [choice.name for choice in imagenet.space.choices]
    assert names[:2] == ["stage1.0", "stage2.0"] and names[-1] == "stage7.0"


def test_fbnet_b_has_its_published_costs(imagenet):
    architecture = family("fbnet").parse(imagenet.space, "imagenet", "fbnet_b")
    assert list(imagenet.space.names(architecture).values()) == FBNET_B
    costs = CostTable(imagenet, eager=False).cost(architecture)
    assert costs == {"flops": 291_004_424, "params": 4_816_216}
    assert count_network(imagenet.subnet(architecture), (3, 224, 224)) == costs


def test_the_figures_here_are_those_of_the_published_file():
    if not PUBLISHED_FILE.exists():
        pytest.skip("shared/published.json is not beside the repository")
    published = json.loads(PUBLISHED_FILE.read_text())["fbnet"]
    assert tuple(published["options"]) == OPTIONS
    network = published["networks"]["fbnet_b"]
    assert network["layers"] == FBNET_B
    # The file has these two rounded.
    assert network["macs_m"] == round(291_004_424 / 1e6, 1)
    assert network["params_m"] == round(4_816_216 / 1e6, 2)


@pytest.mark.parametrize("preset", ["imagenet", "cifar"])
def test_a_skip_is_an_identity_unless_the_shape_changes(preset):
    with torch.device("meta"):
        supernet = fbnet(PRESETS[preset], classes=10)
    skips = supernet.space.from_names(dict.fromkeys(supernet.space.names([0] * 22), "skip"))
    for position, stage in enumerate(stage for stage in supernet.stages if stage.choices):
        skip = supernet.extract(skips, stage)
        if position in CHANGING:
            assert isinstance(skip, nn.Sequential)
            convolution, norm, activation = skip
            assert isinstance(convolution, nn.Conv2d) and convolution.kernel_size == (1, 1)
            assert convolution.bias is None
            assert isinstance(norm, nn.BatchNorm2d) and isinstance(activation, nn.ReLU)
        else:
            assert isinstance(skip, nn.Identity)


def test_an_image_of_32_pixels_ends_at_4():
    with torch.device("meta"):
        supernet = fbnet(PRESETS["cifar"], classes=10)
    x = torch.empty(1, 3, 32, 32, device="meta")
    for stage in supernet.stages[:-2]:
        x = stage.module(x)
    assert x.shape == (1, 176, 4, 4)


def test_all_options_are_trained():
    supernet = fbnet(PRESETS["tiny"], classes=10, image_channels=1).train()
    x = torch.randn(4, 1, 8, 8)
    for option in range(len(OPTIONS)):
        supernet.zero_grad()
        supernet.activate([option] * 7)
        supernet(x).square().sum().backward()
        for stage in supernet.stages:
            for parameter in supernet.extract([option] * 7, stage).parameters():
                assert parameter.isfinite().all()
        for choice in (stage.module for stage in supernet.stages if stage.choices):
            trained = [
                any(p.grad is not None and p.grad.any() for p in candidate.parameters())
                for candidate in choice.options
            ]
            expected = [index == option for index in range(len(OPTIONS))]
            if isinstance(choice.options[option], nn.Identity):
                expected[option] = False
            assert trained == expected


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"channels": (16, 33)}, "stage 2 has 33 channels: .* an even number, nearest 34"),
        ({"stem_channels": 7}, "stem_channels: 7 channels: .* nearest 8"),
        ({"depths": (3, 0)}, "depths .3, 0.: each must be at least 1"),
    ],
)
def test_a_layout_that_does_not_fit_together_is_refused(changes, says):
    with pytest.raises(UserError, match=says) as raised:
        fbnet(replace(PRESETS["tiny"], **changes), classes=10)
    assert "\n" not in str(raised.value)


def test_fbnet_b_is_of_the_preset_imagenet(tiny):
    with pytest.raises(UserError, match="is of the preset imagenet, not of tiny"):
        family("fbnet").parse(tiny.space, "tiny", "fbnet_b")
    assert set(family("fbnet").networks) == set(PUBLISHED) == {"fbnet_b"}
