"""What holds for every space of the catalogue."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from spos import OneOf, Supernet, UserError
from spos.cost import count_network
from spos.cost.part import run as run_on_meta
from spos.run import run
from spos.spaces import SPACES, Family, family

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
        assert run_on_meta(supernet, inputs).shape == (2, 10)
    assert family(name).defaults_of(preset).supernet.steps > 0


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


@dataclass(frozen=True)
class Wide:
    """A layout with a width of its own."""

    image_size: int = 8
    width: int = 4


def made(layout: Wide, *, classes: int, image_channels: int = 3, tokens: bool = False) -> Supernet:
    drop = torch.linspace(0, 0.1, 2)[1].item() if tokens else 0.1
    kernels = {
        str(size): nn.Conv2d(image_channels, layout.width, size, padding=size // 2)
        for size in (1, 3)
    }
    head = (nn.Dropout(drop), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    model = nn.Sequential(OneOf(kernels), *head, nn.Linear(layout.width, classes))
    return Supernet(model, (image_channels, 8, 8))


def space_of(build: Any, layout: Wide | None = None) -> Family:
    defaults = family("plain").defaults_of("tiny")
    return Family("own", {"own": layout or Wide()}, build, {"own": defaults})


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (
            partial(made, tokens=True),
            "cannot be built on the meta device .*: tensors have no values there",
        ),
        (lambda layout, **given: made(layout, **given).model, "build returned a Sequential"),
    ],
)
def test_what_builds_no_supernet_is_refused(build: Any, says: str) -> None:
    with pytest.raises(UserError, match=says):
        space_of(build).build(Wide(), classes=10)


def test_a_supernet_is_of_the_size_of_the_images() -> None:
    assert space_of(made).build(Wide(), classes=10).input_shape == (3, 8, 8)
    with pytest.raises(UserError, match=r"shape \[3, 8, 8\], the images have \[3, 16, 16\]"):
        space_of(made).build(Wide(16), classes=10)


def test_a_run_with_a_width_in_its_layout_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SPACES, "wide", space_of(made))
    recipe = {"steps": 3, "warmup_steps": 0, "batch_size": 16}
    given = {
        "space": {"name": "wide", "preset": "own"},
        "layout": {"width": 6},
        "data": {"source": "digits"},
        "supernet": recipe,
        "retrain": recipe,
        "search": {"population": 2, "iterations": 1, "parents": 1},
        "run": {"calibration": 64},
    }
    first = run(tmp_path, given)
    assert first.winner is not None and first.winner.costs["params"] in (6 * 2 + 70, 6 * 10 + 70)
    assert run(tmp_path, given) == first == run(tmp_path, {})
