"""The budgets and the front of a run in its report and its tables."""

from __future__ import annotations

import re
from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from spos.report import render, result_tables
from spos.report.facts import ConstraintFacts, SearchFacts
from spos.report.measure import Measure
from spos.report.result import BudgetWinner, Result
from spos.report.scatter import budgets_figure, front_layers
from spos.report.words import shown_costs
from spos.search import Candidate

from .conftest import Run, make_candidate


def shown(result: Result) -> str:
    file = StringIO()
    for table in result_tables(result):
        Console(width=120, file=file).print(table)
    return file.getvalue()


@pytest.fixture
def budgets(run: Run) -> Run:
    rows = []
    for limit in (110_000, 118_000, 124_000):
        within = [one for one in run.candidates if one.costs["flops"] <= limit]
        best = max(within, key=lambda one: one.score)
        rows.append(BudgetWinner({"flops": limit}, best, evaluated=7, candidates=len(within)))
    return run.change(budgets=tuple(rows))


@pytest.fixture
def front(run: Run) -> Run:
    kept: list[Candidate] = []
    for candidate in sorted(run.candidates, key=lambda one: (one.costs["flops"], -one.score)):
        if not kept or candidate.score > kept[-1].score:
            kept.append(candidate)
    search = SearchFacts("nsga2", "NSGA-II", 120, exhausted=False, pareto=("flops", "params"))
    assert run.result.winner
    winner = replace(run.result.winner, **vars(kept[-1]))
    return run.change(front=tuple(kept), search=search, winner=winner)


def test_every_budget_has_a_row_and_the_largest_is_the_networks(budgets: Run) -> None:
    page, tables = render(*budgets.arguments), shown(budgets.result)
    assert "is about the largest budget, and so is\n  the comparison" in page
    assert 'data-chart="budgets"' in page
    assert (
        "These are the 120 candidates of the search for the largest budget, 7 of which had not "
        "been scored before." in page
    )
    for text in ("110.0K", "118.0K", "124.0K"):
        assert text in tables and f">{text}</td>" in page
    for row in budgets.result.budgets:
        architecture = str(row.winner.architecture)
        assert architecture in tables and architecture in page
    table = page[page.index("<caption>From the smallest budget") :]
    table = table[: table.index("</table>")]
    assert '<th scope="col">new</th>' in table and table.count(">7</td>") == 3


def test_test_scores_are_drawn_where_they_are_there(budgets: Run) -> None:
    def drawn(result: Result) -> tuple[list[str], str]:
        figure = budgets_figure(result)
        assert figure is not None
        _, points, *limits = figure.spec["layer"]
        assert len(limits[0]["data"]["values"]) == 3
        return [row["kind"] for row in points["data"]["values"]], figure.description

    assert drawn(budgets.result)[0] == ["one-shot"] * 3
    first, *others = budgets.result.budgets
    retrained = budgets.change(budgets=(replace(first, test_score=0.9), *others))
    series, words = drawn(retrained.result)
    assert sorted(series) == ["one-shot"] * 3 + ["test"]
    assert "at most 110.0K: one-shot" in words and "at most 110.0K: test 90.0%" in words
    assert budgets_figure(replace(budgets.result, budgets=())) is None


def test_the_front_is_a_line_in_a_chart_for_each_cost(front: Run) -> None:
    page, tables = render(*front.arguments), shown(front.result)
    assert "NSGA-II scored 120 of 256 architectures" in page
    assert "Over parameters" in page
    assert page.count('data-chart="search-') == 2
    assert "Front, from the cheapest" in tables
    for row in front.result.front:
        assert str(row.architecture) in tables and str(row.architecture) in page
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_the_winner_stands_out_in_the_front(front: Run) -> None:
    page = render(*front.arguments)
    table = page[page.index("<h2>The front") :]
    (row,) = re.findall(r'<tr class="best">.*</tr>', table[: table.index("</table>")])
    assert f">{front.result.front[-1].architecture}<" in row


def test_the_line_goes_along_before_it_goes_up() -> None:
    # The last one is of the front for another cost: the line does not go down to it.
    points = [(2, 0.2), (6, 0.6), (9, 0.5)]
    front = [make_candidate("0", y, flops=x) for x, y in points]
    line, knots = front_layers(front, "flops", Measure())
    assert line["mark"]["interpolate"] == "step-after"
    corners = [(row["x"], row["y"]) for row in line["data"]["values"]]
    assert corners == [(2, 0.2), (6, 0.6), (9, 0.6)]
    assert len(knots["data"]["values"]) == 3


def test_the_costs_of_a_front_and_of_the_bounds_have_columns(front: Run) -> None:
    costs = {"flops": 1, "params": 2, "latency": 3, "bitops": 4, "model_bits": 5}
    assert front.result.winner
    result = replace(
        front.result,
        primary_cost="latency",
        constraint=ConstraintFacts(minimum={"bitops": 1}),
        winner=replace(front.result.winner, costs=costs),
    )
    assert shown_costs(result) == ["flops", "params", "latency", "bitops"]
