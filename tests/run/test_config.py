"""The configuration of a run: what is taken from where, and what makes two runs differ."""

from __future__ import annotations

from typing import Any

import pytest

from spos._util.errors import UserError
from spos.run.config import find_difference, make_config, merge_sections


def test_what_is_stored_makes_the_same_configuration_again() -> None:
    given = {
        "space": {"preset": "cifar"},
        "layout": {"width": 0.5},
        "data": {"validation": 100},
        "constraint": {"maximum": {"flops": "40M"}, "minimum": {"params": 1000}},
        "retrain": {"learning_rate": "1e-3"},
    }
    config = make_config(given)
    assert config.layout.channels == (32, 80, 160, 320)
    assert config.bounds.maximum == {"flops": 40e6}
    assert config.retrain.learning_rate == 0.001
    assert make_config(config.as_plain()) == config


def test_a_width_given_again_is_the_one_that_is_stored() -> None:
    given = {"space": {"preset": "cifar"}, "layout": {"width": 0.5}}
    stored = make_config(given).as_plain()
    assert make_config(merge_sections(stored, given)).as_plain() == stored
    other = make_config(merge_sections(stored, {"layout": {"width": 0.25}})).as_plain()
    difference = find_difference(stored, other)
    assert difference == "layout.channels is [32, 80, 160, 320] there and [16, 40, 80, 160] here"


def test_the_warm_up_of_a_preset_fits_the_steps_that_are_given() -> None:
    longer = {"supernet": {"steps": 2000}, "retrain": {"steps": "20"}}
    config = make_config({"space": {"preset": "tiny"}, **longer})
    assert config.supernet.warmup_steps == 50
    assert config.retrain.warmup_steps == 4
    chosen = make_config({"retrain": {"steps": 20, "warmup_steps": 10}})
    assert chosen.retrain.warmup_steps == 10
    assert make_config(config.as_plain()) == config


@pytest.mark.parametrize(
    ("there", "here", "difference"),
    [
        ({"run": {"seed": 0}}, {"run": {"seed": 1}}, "run.seed is 0 there and 1 here"),
        ({"run": {"save_every": 60.0}}, {"run": {"save_every": 1.0}}, None),
        ({"data": {"workers": 0}}, {"data": {"workers": 4}}, None),
        ({"run": {}}, {"run": {"seed": 1}}, None),
        ({}, {"run": {"seed": 1}}, None),
    ],
)
def test_two_runs_differ_in_what_is_stored_and_decides_the_result(
    there: dict[str, Any], here: dict[str, Any], difference: str | None
) -> None:
    assert find_difference(there, here) == difference


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"constraint": {"maximum": {"flops": float("inf")}}}, "constraint.maximum.flops"),
        ({"constraint": {"minimum": {"flops": [1]}}}, "constraint.minimum.flops"),
        ({"constraint": {"maximum": 5}}, "constraint.maximum 5: must be values by name such as"),
        ({"run": {"save_every": float("nan")}}, "run.save_every"),
        ({"run": {"calibration": 1}}, "run.calibration 1: must be at least 2"),
        ({"data": {"mean": [0.5]}}, "data.mean"),
        ({"space": {"colour": "red"}}, "unknown setting 'space.colour'"),
        ({"layout": {"width": "wide"}}, "width wide"),
        ({"supernet": {"warmup_steps": 2000}}, "supernet: warmup_steps 2000"),
    ],
)
def test_a_setting_that_is_not_valid_is_named(given: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=r".") as error:
        make_config(given)
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_the_seed_of_a_run_is_that_of_its_search_unless_it_has_one() -> None:
    assert make_config({"run": {"seed": 3}}).search.seed == 3
    assert make_config({"run": {"seed": 3}, "search": {"seed": 0}}).search.seed == 0
    before = make_config({"run": {"seed": 3}, "search": {"seed": 0}}).as_plain()
    assert make_config(merge_sections(before, {"run": {"seed": 3}})).search.seed == 0


@pytest.mark.parametrize(
    ("given", "candidates"),
    [
        ({}, 10 * 3),
        ({"constraint": {"budgets": {"flops": ["1M", "2M"]}}}, 2 * 10 * 3),
        ({"search": {"algorithm": "fbnet"}}, 1),
        ({"search": {"algorithm": "fbnet"}, "differentiable": {"derive": "sample"}}, 50),
    ],
)
def test_the_candidates_are_those_that_a_search_scores(
    given: dict[str, Any], candidates: int
) -> None:
    sizes = {"population": 10, "iterations": 3}
    search = {**sizes, **given.get("search", {})}
    assert make_config({**given, "search": search}).candidates == candidates
