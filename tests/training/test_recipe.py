"""The numbers of an optimisation."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spos import UserError
from spos.spaces import SPACES
from spos.training.recipe import Recipe, SupernetRecipe


def recipe(**values: object) -> SupernetRecipe:
    return SupernetRecipe(**{"steps": 100, "batch_size": 8, "learning_rate": 0.5, **values})


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        ("linear", {0: 0.5, 50: 0.25, 99: 0.005}),
        ("cosine", {0: 0.5, 50: 0.25, 99: 0.25 * (1 + math.cos(math.pi * 0.99))}),
        ("constant", {0: 0.5, 50: 0.5, 99: 0.5}),
    ],
)
def test_the_rate_falls_as_scheduled(schedule, rates):
    for step, rate in rates.items():
        assert recipe(schedule=schedule).rate(step) == pytest.approx(rate, abs=1e-12)


def test_the_rate_rises_linearly_in_the_warm_up_and_falls_over_the_rest():
    warm = recipe(warmup_steps=20)
    assert [warm.rate(step) for step in (0, 9, 19)] == pytest.approx([0.025, 0.25, 0.5])
    assert [warm.rate(step) for step in (20, 60, 99)] == pytest.approx([0.5, 0.25, 0.5 / 80])


@given(st.data())
def test_the_rate_is_positive_and_never_above_the_highest(data):
    steps = data.draw(st.integers(1, 300))
    chosen = recipe(
        steps=steps,
        schedule=data.draw(st.sampled_from(["linear", "cosine", "constant"])),
        warmup_steps=data.draw(st.integers(0, steps - 1)),
    )
    rates = [chosen.rate(step) for step in range(steps)]
    assert all(0 < rate <= 0.5 for rate in rates)
    assert max(rates) == 0.5
    falling = rates[chosen.warmup_steps :]
    assert falling == sorted(falling, reverse=True)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"steps": 0}, "steps 0: must be at least 1"),
        ({"batch_size": -1}, "batch_size -1: must be at least 1"),
        ({"learning_rate": 0.0}, "learning_rate 0.0: must be above 0"),
        ({"learning_rate": math.nan}, "learning_rate nan"),
        ({"learning_rate": math.inf}, "learning_rate inf"),
        ({"paths": 0}, "paths 0: must be at least 1"),
        ({"momentum": 1.0}, "momentum 1.0: must be below 1"),
        ({"momentum": 0.0, "nesterov": True}, "nesterov"),
        ({"label_smoothing": -0.1}, "label_smoothing -0.1: must be at least 0"),
        ({"weight_decay": -1e-5}, "weight_decay -1e-05: must be at least 0"),
        ({"weight_decay": math.nan}, "weight_decay nan"),
        ({"gradient_clip": -1.0}, "gradient_clip -1.0: must be at least 0"),
        ({"gradient_clip": math.nan}, "gradient_clip nan"),
        ({"warmup_steps": -1}, "warmup_steps -1: must be at least 0"),
        ({"warmup_steps": 100}, "warmup_steps 100: must be below steps 100"),
        ({"widening_steps": 100}, "widening_steps 100: must be below steps 100"),
        ({"widening_steps": -1}, "widening_steps -1: must be at least 0"),
        ({"ema": 1.0}, "ema 1.0: must be below 1"),
        ({"schedule": "linea"}, "did you mean 'linear'"),
    ],
)
def test_a_value_out_of_its_range_is_refused(values, says):
    with pytest.raises(UserError, match=says) as raised:
        recipe(**values)
    assert "\n" not in str(raised.value)


def test_the_recipe_of_a_plain_network_knows_no_paths():
    with pytest.raises(TypeError, match="paths"):
        Recipe(steps=1, batch_size=1, learning_rate=0.1, paths=4)


def test_every_preset_has_default_settings():
    for spaces in SPACES.values():
        assert set(spaces.defaults) == set(spaces.presets)
    with pytest.raises(
        UserError, match="no default settings of the preset 'imagenette': did you mean"
    ):
        SPACES["shufflenetv2"].defaults_of("imagenette")
