"""The budgets and the front of a run in its report and its tables."""

from __future__ import annotations

import re
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from spos.report import render, result_tables
from spos.report.budgets import budgets_figure
from spos.report.chart import Axis, Chart
from spos.report.front import draw_front
from spos.report.measure import Measure
from spos.report.words import front_costs, searched_cost, shown_costs


def shown(result: dict[str, Any]) -> str:
    file = StringIO()
    for table in result_tables(result):
        Console(width=120, file=file).print(table)
    return file.getvalue()


@pytest.fixture
def budgets(run: Any) -> Any:
    rows = []
    for limit in (110_000, 118_000, 124_000):
        within = [c for c in run.candidates if c["flops"] <= limit]
        best = max(within, key=lambda c: c["one_shot_top1"])
        rows.append({"maximum": {"flops": limit}, **best, "evaluated": 7, "test_top1": None})
    run.result["budgets"] = rows
    return run


@pytest.fixture
def front(run: Any) -> Any:
    kept: list[dict[str, Any]] = []
    for candidate in sorted(run.candidates, key=lambda c: (c["flops"], -c["one_shot_top1"])):
        if not kept or candidate["one_shot_top1"] > kept[-1]["one_shot_top1"]:
            kept.append(candidate)
    run.result["front"] = kept
    run.result["search"] |= {"algorithm": "nsga2", "pareto": ["flops", "params"]}
    return run


def test_every_budget_has_a_row_and_the_largest_is_the_networks(budgets: Any) -> None:
    page, tables = render(*budgets.arguments), shown(budgets.result)
    assert "is about the largest budget, and so is\n  the comparison" in page
    assert page.count('class="chart"') == page.count("<desc ")
    for text in ("110.0K", "118.0K", "124.0K"):
        assert text in tables and f"<td>{text}</td>" in page
    for row in budgets.result["budgets"]:
        assert row["architecture"] in tables and row["architecture"] in page


def test_test_scores_are_drawn_where_they_are_there(budgets: Any) -> None:
    figure = str(budgets_figure(budgets.result, 860))
    assert "one-shot" in figure and ">test<" not in figure
    budgets.result["budgets"][0]["test_top1"] = 0.9
    figure = str(budgets_figure(budgets.result, 860))
    assert ">test<" in figure and figure.count('class="point second"') == 1
    assert figure.count('class="point first"') == 3
    assert figure.count('class="limit"') == 3
    assert budgets_figure({**budgets.result, "budgets": []}, 860) is None


def test_the_front_is_a_line_in_a_chart_for_each_cost(front: Any) -> None:
    page, tables = render(*front.arguments), shown(front.result)
    assert "A search by NSGA-II scored" in page
    assert "Over parameters" in page
    # Wide and narrow, of two costs.
    assert page.count('class="front-dot"') == 4 * len(front.result["front"])
    assert "Front, from the cheapest" in tables
    for row in front.result["front"]:
        assert row["architecture"] in tables and row["architecture"] in page
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_the_line_goes_along_before_it_goes_up() -> None:
    chart = Chart("c", "", "", (100, 100), Axis("", 0, 10), Axis("", 0, 1), (0, 0, 0, 0))
    # The last one is of the front for another cost: the line does not go down to it.
    points = [(2, 0.2), (6, 0.6), (9, 0.5)]
    rows = [{"flops": cost, "one_shot_top1": score} for cost, score in points]
    draw_front(chart, rows, "flops", Measure())
    (path,) = re.findall(r'd="([^"]+)" class="line second"', str(chart.svg()))
    assert path == "M20.0 80.0L60.0 80.0L60.0 40.0L90.0 40.0"
    assert str(chart.svg()).count("front-dot") == 3


def test_the_costs_of_a_front_are_those_of_the_tables() -> None:
    result = {"search": {"pareto": ["latency", "flops"]}, "constraint": {"maximum": {"params": 1}}}
    assert front_costs(result) == ["latency", "flops"]
    assert shown_costs(result) == ["flops", "params", "latency"]


@pytest.mark.parametrize(
    ("maximum", "minimum", "search", "cost"),
    [
        ({"params": 1, "bitops": 2}, {"flops": 1}, {"pareto": ["latency"]}, "params"),
        ({}, {"strides": 1}, {"pareto": ["latency"]}, "strides"),
        ({}, {}, {"pareto": ["latency", "params"]}, "latency"),
        ({}, {}, {"pareto": [], "charged": "memory"}, "memory"),
        ({}, {}, None, "flops"),
    ],
)
def test_a_search_is_about_what_it_bounds_minimises_or_charges(
    maximum: dict[str, float], minimum: dict[str, float], search: Any, cost: str
) -> None:
    constraint = {"maximum": maximum, "minimum": minimum}
    assert searched_cost({"constraint": constraint, "search": search}) == cost
