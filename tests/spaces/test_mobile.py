"""The macro-architecture of mobile networks."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from spos import UserError
from spos.spaces._mobile import MobileLayout, mobile_network
from spos.spaces._stages import Place
from spos.spaces.blocks.convolution import convolution

LAYOUT = MobileLayout(
    image_size=8,
    stem_channels=8,
    stem_stride=1,
    first_channels=4,
    channels=(8, 16),
    depths=(1, 2),
    strides=(1, 2),
    head_channels=32,
    dropout=0.1,
)


def record(layout: MobileLayout) -> tuple[list[Place], nn.Sequential]:
    places: list[Place] = []

    def block(place: Place) -> nn.Module:
        places.append(place)
        return nn.Sequential(*convolution(place.inputs, place.outputs, stride=place.stride))

    return places, mobile_network(layout, block, classes=5, image_channels=1)


def test_blocks_are_made_in_order_and_the_first_of_a_stage_has_its_stride():
    places, network = record(LAYOUT)
    assert places == [Place(1, 0, 4, 8, 1), Place(2, 0, 8, 16, 2), Place(2, 1, 16, 16, 1)]
    assert [place.name for place in places] == ["stage1.0", "stage2.0", "stage2.1"]
    assert [place.keeps_shape for place in places] == [False, False, True]
    assert network(torch.zeros(2, 1, 8, 8)).shape == (2, 5)
    assert [name for name, _ in network.named_children()] == [
        *("stem", "first", "stage1", "stage2", "head", "classifier")
    ]


def test_without_first_channels_the_stages_follow_the_first_convolution():
    places, network = record(replace(LAYOUT, first_channels=0))
    assert places[0] == Place(1, 0, 8, 8, 1)
    assert not hasattr(network, "first")


def test_a_width_scales_the_stages_alone():
    assert LAYOUT.scaled(1.6) == replace(LAYOUT, channels=(12, 24))
    assert LAYOUT.scaled(0.01).channels == (4, 4)


@pytest.mark.parametrize("width", [0, -1, "wide", math.nan, math.inf])
def test_a_width_that_is_not_a_number_above_0_is_refused(width):
    with pytest.raises(UserError, match="must be a number above 0"):
        LAYOUT.scaled(width)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"channels": (), "depths": (), "strides": ()}, "at least 1 stage"),
        ({"depths": (2,)}, "2 channels, 1 depths, 2 strides"),
        ({"strides": (1, 2, 2)}, "2 channels, 2 depths, 3 strides"),
        ({"channels": (8, 0)}, "channels .8, 0.: each must be at least 1"),
        ({"depths": (2, 0)}, "depths .2, 0.: each must be at least 1"),
        ({"strides": (0, 2)}, "strides .0, 2.: each must be at least 1"),
        ({"image_size": 0}, "image_size 0: must be at least 1"),
        ({"stem_channels": 0}, "stem_channels 0: must be at least 1"),
        ({"stem_stride": 0}, "stem_stride 0: must be at least 1"),
        ({"head_channels": -1}, "head_channels -1: must be at least 1"),
        ({"first_channels": -1}, "first_channels -1: must be at least 0"),
        ({"dropout": 1.0}, "dropout 1.0: must be in"),
        ({"dropout": -0.1}, "dropout -0.1: must be in"),
    ],
)
def test_a_layout_that_does_not_fit_together_is_refused(changes, says):
    with pytest.raises(UserError, match=says) as raised:
        record(replace(LAYOUT, **changes))
    assert "\n" not in str(raised.value)
