"""The candidates of a search: one-shot scores over the cost that it bounds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from spos.cost.cost import find_cost
from spos.report.chart import (
    LEVELS,
    Axis,
    Chart,
    cost_labels,
    element,
    finite,
    level,
    spread,
)
from spos.report.front import draw_front
from spos.report.measure import Measure, measure
from spos.report.words import cost as written
from spos.report.words import searched_cost

#: More points than a reader can tell apart only make the page heavy.
PLOTTED = 2500

Row = Mapping[str, Any]


def shown(candidates: Sequence[Row], cost: str = "flops") -> list[Row]:
    """The candidates to plot, later iterations last: all, or an even sample of very many."""
    known = [c for c in candidates if finite(c.get("one_shot_top1")) and finite(c.get(cost))]
    stride = math.ceil(len(known) / PLOTTED) or 1
    return sorted(known[::stride], key=lambda c: c.get("iteration") or 0)


def search_figure(
    result: Row, candidates: Sequence[Row], width: int, cost: str = ""
) -> Markup | None:
    """One-shot scores over a cost, or that of the search; None where there is nothing to plot."""
    own = searched_cost(result)
    cost = cost or own
    drawn, winner = shown(candidates, cost), result.get("winner")
    if not drawn or not winner or not finite(winner.get(cost)):
        return None
    x, limits = _cost_axis(result, cost, [c[cost] for c in (*drawn, winner)])
    by = measure(result)
    scores = [c["one_shot_top1"] for c in (*drawn, winner)]
    lower, upper = spread(scores, by.least(scores))
    y = Axis(f"one-shot {by.noun}", lower, upper, by.labels)
    last = max(c.get("iteration") or 0 for c in drawn)
    narrow = width < 600
    chart = Chart(
        f"search-{width}" if cost == own else f"search-{cost}-{width}",
        f"One-shot {by.noun} over {find_cost(cost).label} of the candidates",
        f"{len(drawn)} candidates between {by.show(min(scores))} and "
        f"{by.show(max(scores))}. The winner has {by.show(winner['one_shot_top1'])} and "
        f"{written(cost, winner[cost])} {find_cost(cost).noun}.",
        (width, 400 if narrow else 460),
        x,
        y,
        (58 if narrow else 34, 16, 46, 52),
    )
    _colour_bar(chart, last)
    for value, words in limits:
        at = chart.x(value)
        end = at > (chart.left + chart.right) / 2
        chart.add(element("path", d=f"M{at:.1f} {chart.top}V{chart.bottom}", class_="limit"))
        chart.text(
            at + (-6 if end else 6),
            chart.bottom - 8,
            words,
            "limit-text",
            "end" if end else "start",
        )
    for candidate in drawn:
        iteration = candidate.get("iteration") or 0
        chart.circle(
            (candidate[cost], candidate["one_shot_top1"]),
            3.0 if narrow else 4.0,
            f"dot r{level(iteration, last)}",
            f"{candidate.get('architecture', '')}\n{by.show(candidate['one_shot_top1'])}, "
            f"{written(cost, candidate[cost])}, iteration {iteration}, "
            f"{candidate.get('origin', '')}",
        )
    front = result.get("front") or []
    draw_front(chart, front, cost, by)
    # Beside the winner is the line of the front.
    _ring(chart, winner, cost, by, raised=14 if front else 0)
    return chart.svg()


def _cost_axis(result: Row, cost: str, costs: list[float]) -> tuple[Axis, list[tuple[float, str]]]:
    """The axis of the cost, and the limits that are near enough to lie on it."""
    lower, upper = spread(costs, max(costs) * 0.04)
    span = upper - lower
    constraint = result.get("constraint") or {}
    limits = [
        (bounds[cost], f"{words} {written(cost, bounds[cost])}")
        for words, bounds in (
            ("at most", constraint.get("maximum") or {}),
            ("at least", constraint.get("minimum") or {}),
        )
        if cost in bounds and lower - span / 2 <= bounds[cost] <= upper + span / 2
    ]
    lower = min(lower, *(value - span * 0.03 for value, _ in limits), lower)
    upper = max(upper, *(value + span * 0.03 for value, _ in limits), upper)
    return Axis(find_cost(cost).title, lower, upper, cost_labels(cost)), limits


def _colour_bar(chart: Chart, last: int) -> None:
    if last <= 0:
        return
    step, wide = 5, 5 * LEVELS
    left = chart.right - wide - 24
    top = 24 if chart.top > 50 else 4
    chart.text(left - 8, top + 10, "iteration 0", "tick", "end")
    for number in range(LEVELS):
        chart.add(
            element(
                "rect",
                x=left + number * step,
                y=top,
                width=step + 0.5,
                height=12,
                class_=f"r{number}",
            )
        )
    chart.text(left + wide + 6, top + 10, str(last), "tick")


def _ring(chart: Chart, winner: Row, cost: str, by: Measure, raised: int) -> None:
    point = (winner[cost], winner["one_shot_top1"])
    chart.circle(point, 8.5, "ring", f"winner: {winner.get('architecture', '')}")
    x, y = chart.x(point[0]), chart.y(point[1])
    end = x > (chart.left + chart.right) / 2
    words = f"winner {by.show(point[1])}, {written(cost, point[0])}"
    at = x + (-14 if end else 14)
    chart.text(at, y + 4 - raised, words, "mark", "end" if end else "start")
