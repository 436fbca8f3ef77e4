"""The bounds of a search, and many budgets, as they are given."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from spos._util.errors import UserError
from spos.run.config import find_difference, make_config, merge_sections
from spos.run.settings import parse_budgets


def constraint(**values: Any) -> list[str]:
    given = make_config({"constraint": values}).constraint
    return [str(one) for one in given.constraints]


def test_every_budget_has_the_other_bounds_too() -> None:
    assert constraint(
        budgets={"flops": "60M,40M"}, maximum={"params": "3M"}, minimum={"flops": "10M"}
    ) == [
        "flops <= 40.00M, params <= 3.000M, flops >= 10.00M",
        "flops <= 60.00M, params <= 3.000M, flops >= 10.00M",
    ]
    assert constraint(maximum={"flops": "60M"}) == ["flops <= 60.00M"]
    assert constraint() == ["none"]


@pytest.mark.parametrize("number", [np.int64(60_000_000), np.float32(6e7), Fraction(6 * 10**7)])
def test_a_bound_may_be_a_number_of_any_library(number: Any) -> None:
    assert constraint(maximum={"flops": number}) == ["flops <= 60.00M"]


def test_the_bounds_of_a_run_are_those_of_its_largest_budget() -> None:
    config = make_config({"constraint": {"budgets": {"params": [5e6, "4M"]}}})
    assert config.bounds.maximum == {"params": 5e6}
    assert config.costs == ("params",)


def test_what_is_stored_makes_the_same_configuration_again() -> None:
    given = {"constraint": {"budgets": {"flops": ["60M", "40M"]}}}
    config = make_config(given)
    stored = config.as_plain()
    assert stored["constraint"]["budgets"] == {"flops": [40e6, 60e6]}
    assert make_config(stored) == config
    again = make_config(merge_sections(stored, {"constraint": {"budgets": {"flops": "40M,60M"}}}))
    assert find_difference(stored, again.as_plain()) is None


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("40M,60M", "write one cost and its limits, such as --budgets flops=40M,60M,80M"),
        ("flops=", "write one cost and its limits"),
        ("flops=40M,params=3M", "write one cost and its limits"),
        ("flops=40M,,60M", "--budgets flops '' is not a positive number"),
        ("flops=40M,many", "--budgets flops 'many' is not a positive number"),
        ("flops=40M,60M,40000K", "--budgets flops: 40.00M is given twice"),
    ],
)
def test_budgets_that_are_none(text: str, mistake: str) -> None:
    with pytest.raises(UserError) as raised:
        parse_budgets(text)
    assert mistake in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("given", "mistake"),
    [
        ({"constraint": {"budgets": {"flops": []}}}, "flops is empty"),
        ({"constraint": {"budgets": {"flops": [True]}}}, "constraint.budgets.flops"),
        ({"constraint": {"budgets": {"flops": 4e7, "params": 3e6}}}, "allowed is one cost"),
        (
            {"constraint": {"budgets": {"flops": [4e7]}, "maximum": {"flops": 5e7}}},
            "--max-flops",
        ),
        (
            {"constraint": {"budgets": {"flops": [4e7, 6e7]}, "minimum": {"flops": 5e7}}},
            "min flops 50.00M is above max flops 40.00M",
        ),
        (
            {"constraint": {"budgets": {"flops": [4e7]}}, "search": {"pareto": ["flops"]}},
            "algorithm nsga2",
        ),
        (
            {
                "constraint": {"budgets": {"flops": [4e7]}},
                "search": {"pareto": ["flops"], "algorithm": "random"},
            },
            "give one of them",
        ),
    ],
)
def test_settings_that_do_not_go_together(given: dict[str, Any], mistake: str) -> None:
    with pytest.raises(UserError, match=mistake):
        make_config(given)


def test_whoever_asks_for_a_front_need_not_say_how() -> None:
    search = make_config({"search": {"pareto": "flops,params"}}).search
    assert (search.algorithm, search.pareto) == ("nsga2", ("flops", "params"))
    stored = make_config({}).as_plain()
    merged = make_config(merge_sections(stored, {"search": {"pareto": "flops"}})).as_plain()
    difference = find_difference({"search": stored["search"]}, merged)
    assert difference == "search.algorithm is evolution there and nsga2 here"
