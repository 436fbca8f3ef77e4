"""The candidates of a search: one-shot scores over a cost."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from spos.cost.cost import Cost, find_cost, format_cost
from spos.report.chart import LEVELS, Axis, Chart, Point, cost_labels, element, level, padded_range
from spos.report.measure import Measure
from spos.report.result import ConstraintFacts, Result, Winner
from spos.search.candidate import Candidate

#: Most candidates that are plotted: more cannot be told apart and only make the page heavy.
PLOTTED = 2500


def plotted(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The candidates to plot, later iterations last: all, or an even sample of very many."""
    stride = math.ceil(len(candidates) / PLOTTED) or 1
    return sorted(candidates[::stride], key=lambda candidate: candidate.iteration)


def search_figure(
    result: Result, winner: Winner, candidates: Sequence[Candidate], name: str, width: int
) -> Markup:
    """One-shot scores of the candidates over a cost."""
    drawn, cost, show = plotted(candidates), find_cost(name), result.one_shot.show
    x, limits = _cost_axis(result.constraint, cost, [one.costs[name] for one in (*drawn, winner)])
    scores = [one.score for one in (*drawn, winner)]
    last = max(one.iteration for one in drawn)
    narrow = width < 600
    chart = Chart(
        f"search-{name}-{width}",
        f"One-shot {result.one_shot.noun} over {cost.label} of the candidates",
        f"{len(drawn)} candidates between {show(min(scores))} and {show(max(scores))}. The winner "
        f"has {show(winner.score)} and {cost.format(winner.costs[name])} {cost.noun}.",
        (width, 400 if narrow else 460),
        x,
        result.one_shot.axis(f"one-shot {result.one_shot.noun}", scores),
        (58 if narrow else 34, 16, 46, 52),
    )
    _draw_scale(chart, last)
    for value, words in limits:
        at = chart.vertical(value, "limit", chart.top, chart.bottom)
        chart.text_beside(at, chart.bottom - 8, words, "limit-text", 6)
    for one in drawn:
        chart.circle(
            (one.costs[name], one.score),
            3.0 if narrow else 4.0,
            f"dot r{level(one.iteration, last)}",
            f"{one.architecture}\n{show(one.score)}, {cost.format(one.costs[name])}, "
            f"iteration {one.iteration}, {one.origin}",
        )
    if result.front:
        draw_front(chart, result.front, name, result.one_shot)
    point = (winner.costs[name], winner.score)
    chart.circle(point, 8.5, "ring", f"winner: {winner.architecture}")
    # Beside the winner is the line of the front.
    y = chart.y(winner.score) + 4 - (14 if result.front else 0)
    words = f"winner {show(winner.score)}, {cost.format(winner.costs[name])}"
    chart.text_beside(chart.x(point[0]), y, words, "mark", 14)
    return chart.svg()


def draw_front(chart: Chart, front: Sequence[Candidate], cost: str, measure: Measure) -> None:
    """Draw the best score that each cost allows, and a knot for every candidate of the front.

    With several costs, the line is of those candidates that are best for the one that is drawn.
    """
    line: list[Point] = []
    for at, score in sorted((one.costs[cost], one.score) for one in front):
        if not line or score > line[-1][1]:
            # First along at the score so far, then up to the better one.
            line += [(at, line[-1][1]), (at, score)] if line else [(at, score)]
    chart.line([*line, (max(one.costs[cost] for one in front), line[-1][1])], "second")
    for one in front:
        chart.circle(
            (one.costs[cost], one.score),
            4.5,
            "front-dot",
            f"front: {one.architecture}\n{measure.show(one.score)}, "
            f"{format_cost(cost, one.costs[cost])}",
        )


def _cost_axis(
    constraint: ConstraintFacts, cost: Cost, values: Sequence[float]
) -> tuple[Axis, list[tuple[float, str]]]:
    """The axis of the cost, and the limits that are near enough to lie on it."""
    lower, upper = padded_range(values, max(values) * 0.04)
    extent = upper - lower
    limits = [
        (bounds[cost.name], f"{words} {cost.format(bounds[cost.name])}")
        for words, bounds in (("at most", constraint.maximum), ("at least", constraint.minimum))
        if cost.name in bounds and lower - extent / 2 <= bounds[cost.name] <= upper + extent / 2
    ]
    lower = min(lower, *(value - extent * 0.03 for value, _ in limits), lower)
    upper = max(upper, *(value + extent * 0.03 for value, _ in limits), upper)
    return Axis(cost.title, lower, upper, cost_labels(cost.name)), limits


def _draw_scale(chart: Chart, last: int) -> None:
    """The colours of the iterations."""
    if last == 0:
        return
    step, wide = 5, 5 * LEVELS
    left = chart.right - wide - 24
    top = 24 if chart.top > 50 else 4
    chart.text(left - 8, top + 10, "iteration 0", "tick", "end")
    for number in range(LEVELS):
        size = {"width": step + 0.5, "height": 12}
        chart.add(element("rect", x=left + number * step, y=top, **size, class_=f"r{number}"))
    chart.text(left + wide + 6, top + 10, str(last), "tick")
