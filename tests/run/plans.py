"""Plans on a machine of a known speed."""

from __future__ import annotations

from typing import Any

from spos.run.planning.plan import Plan
from spos.run.planning.planner import Planner
from spos.run.planning.speed import Line, Speed

#: A machine of three giga-multiply-adds a second.
SPEED = Speed(1, Line(0.01, 1 / 3e9), Line(0.003, 1 / 9e9))
DIGITS: dict[str, Any] = {"data": {"source": "digits"}}


def plan(given: dict[str, Any], seconds: float | None) -> Plan:
    return Planner(given, seconds).plan()


def chosen(made: Plan) -> dict[str, Any]:
    return {choice.setting: choice.value for choice in made.choices}
