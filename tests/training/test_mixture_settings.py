"""The settings of a differentiable search."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spos import UserError
from spos.training.recipe import DifferentiableSettings


def test_the_temperature_falls_as_in_the_paper():
    settings = DifferentiableSettings()
    assert settings.temperature_at(0) == 5.0
    assert settings.temperature_at(1) == pytest.approx(4.7800, abs=1e-4)
    assert settings.temperature_at(89) == pytest.approx(0.0911, abs=1e-4)
    assert settings.temperature_at(1000) == 0.05


@given(
    first=st.floats(0.1, 10),
    decay=st.floats(0, 1),
    epoch=st.integers(0, 500),
)
def test_the_temperature_is_an_exponential_of_the_epoch_down_to_its_least(first, decay, epoch):
    settings = DifferentiableSettings(temperature=first, temperature_decay=decay)
    expected = max(0.05, first * math.exp(-decay * epoch))
    assert settings.temperature_at(epoch) == pytest.approx(expected)


def test_theta_waits_for_a_share_of_the_steps():
    assert DifferentiableSettings().warmup_steps(90) == 9
    assert DifferentiableSettings(warmup=0.0).warmup_steps(90) == 0


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"temperature": 0.0}, "differentiable.temperature 0.0: must be at least 1e-06"),
        ({"temperature": math.inf}, "temperature inf"),
        ({"temperature_least": 6.0}, "temperature_least 6.0: must be at most the temperature, 5.0"),
        ({"alpha": 0.0}, "alpha 0.0: must be above 0"),
        ({"alpha": -1.0}, "alpha -1.0: must be above 0"),
        ({"beta": -0.1}, "beta -0.1: must be at least 0"),
        ({"learning_rate": 0.0}, "learning_rate 0.0"),
        ({"learning_rate": 1e38}, "learning_rate 1e+38: must be at most 1000"),
        ({"warmup": 1.0}, "warmup 1.0: must be below 1"),
        ({"every": 0}, "every 0: must be at least 1"),
        ({"samples": 0}, "samples 0"),
        ({"unit": -1.0}, "unit -1.0"),
        ({"form": "join"}, "unknown differentiable.form 'join': did you mean 'joint'?"),
        ({"derive": "best"}, "unknown differentiable.derive 'best'"),
    ],
)
def test_a_setting_out_of_range_is_refused(given, says):
    with pytest.raises(UserError) as raised:
        DifferentiableSettings(**given)
    assert says in str(raised.value)
