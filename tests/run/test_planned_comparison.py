"""How long the networks of a comparison are trained, as a plan chooses it."""

from __future__ import annotations

from typing import Any

import pytest

from spos.data.peek import ImageFacts
from spos.run.planning import capacity
from spos.run.planning.execute import describe
from spos.run.planning.plan import Plan, as_sections
from spos.run.planning.planner import Planner
from spos.run.planning.speed import Line, Speed

GIVEN: dict[str, Any] = {"data": {"source": "digits"}, "constraint": {"maximum": {"flops": "1M"}}}


@pytest.fixture(autouse=True)
def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    speed = Speed(1, Line(0.001, 1e-9), Line(0.001, 2e-10))
    monkeypatch.setattr(capacity, "measure_speed", lambda *_: speed)


def plan(given: dict[str, Any], seconds: float | None, **more: Any) -> Plan:
    facts = ImageFacts(1000, 10, 8, 1, grey=True, has_validation=False, has_test=False)
    return Planner(given, seconds, facts=facts, threads=1, **more).plan()


def share(made: Plan) -> float:
    return float(as_sections(made.choices).get("network", {}).get("compare_share", 1.0))


def test_the_network_found_gets_most_of_the_time_after_the_search() -> None:
    made = plan(GIVEN, 300)
    assert share(made) == 0.25
    assert any("it gets most of the time" in line for line in describe(made))
    times = {one.stage: one.seconds for one in made.estimates}
    # One process: three other networks, and itself once more.
    assert times["compare"] == pytest.approx(times["retrain"])
    assert times["train"] + times["search"] < 0.4 * made.total


def test_without_a_comparison_it_gets_all_of_it() -> None:
    stages = {one.stage: one.seconds for one in plan(GIVEN, 300, compare=0).estimates}
    assert list(stages) == ["train", "search", "retrain"]
    assert stages["retrain"] > 0.6 * sum(stages.values())


@pytest.mark.parametrize(
    ("given", "seconds", "more"),
    [
        # Where there is time for as many steps as bring anything, without a time, and where
        # nothing is compared.
        ({}, 36_000, {}),
        ({}, None, {}),
        ({}, 300, {"compare": 0}),
        ({"network": {"compare_share": 1.0}}, 300, {}),
    ],
)
def test_others_are_trained_as_long_where_that_costs_it_nothing(
    given: dict[str, Any], seconds: float | None, more: dict[str, Any]
) -> None:
    assert share(plan({**GIVEN, **given}, seconds, **more)) == 1.0
