"""One-shot scores over a cost: of the candidates of a search, and of what was found by budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

from spos.cost.cost import Cost, find_cost, format_cost
from spos.report.candidates import DROPPED, cost_field, plotted
from spos.report.chart import (
    ACCENT,
    INK,
    LEVELS,
    PAPER,
    WARM,
    Axis,
    Chart,
    Row,
    Spec,
    coloured,
    cost_axis,
    dots,
    layer,
    make_chart,
    padded_range,
)
from spos.report.facts import ConstraintFacts
from spos.report.measure import Measure
from spos.report.result import Result, Winner
from spos.search.candidate import Candidate

#: Names of the rows that the page has: the candidates that are shown, and the chosen one.
CANDIDATES, CHOSEN = "candidates", "chosen"


def search_figure(
    result: Result,
    winner: Winner,
    candidates: Sequence[Candidate],
    name: str,
    headings: Mapping[str, str],
) -> Chart:
    """One-shot scores of the candidates over a cost.

    Args:
        result (Result): result of the run.
        winner (Winner): the network found.
        candidates (Sequence[Candidate]): all candidates.
        name (str): name of the cost.
        headings (Mapping[str, str]): heading of each field that appears above a dot.
    """
    drawn, cost, show = plotted(candidates, result.top), find_cost(name), result.one_shot.show
    x, limits = _cost_axis(result.constraint, cost, [one.costs[name] for one in (*drawn, winner)])
    scores = [one.score for one in (*drawn, winner)]
    noun, last = result.one_shot.noun, max(one.iteration for one in drawn)
    at = cost_field(result, name)
    shades = [f"var(--r{number})" for number in range(LEVELS)]
    scale = {"type": "quantize", "domain": [0, last or 1], "range": shades}
    colour = {"field": "iteration", "type": "quantitative", "scale": scale, "legend": None}
    dot: Spec = {"filled": True, "opacity": 1, "size": 60, "cursor": "pointer"}
    # Estimates are paler.
    pale = {"condition": {"test": f"isValid(datum.{DROPPED})", "value": 0.3}, "value": 1}
    encoding: Spec = {"color": colour}
    if any(one.dropped_after for one in drawn):
        encoding["opacity"] = pale
    dot |= {"stroke": PAPER, "strokeWidth": 0.6, "encoding": encoding}
    found = {
        "x": winner.costs[name],
        "y": winner.score,
        "text": f"found {show(winner.score)}, {cost.format(winner.costs[name])}",
    }
    return make_chart(
        f"search-{at}",
        f"One-shot {noun} over {cost.label} of the candidates",
        f"{len(drawn)} candidates between {show(min(scores))} and {show(max(scores))}. The network "
        f"found has {show(winner.score)} and {cost.format(winner.costs[name])} {cost.noun}.",
        x,
        result.one_shot.axis(f"one-shot {noun}", scores),
        layer("point", CANDIDATES, x=at, y="score", tooltip=headings, **dot),
        *limit_layers(x, limits),
        *front_layers(result.front, name, result.one_shot),
        layer("point", [found], size=220, stroke=ACCENT, strokeWidth=2.5, filled=False),
        written(x, found, 16, fontWeight="bold", color=INK, baseline="middle"),
        layer("point", CHOSEN, x=at, y="score", size=260, stroke=WARM, strokeWidth=3, filled=False),
        height=400,
    )


def limit_layers(x: Axis, limits: Sequence[tuple[float, str]]) -> list[Spec]:
    """Vertical lines at limits, with their names."""
    if not limits:
        return []
    style: Spec = {"color": WARM, "strokeDash": [5, 4], "strokeWidth": 1.5}
    below = {"y": {"value": {"expr": "height - 8"}}}
    return [
        layer("rule", [{"x": value} for value, _ in limits], y=None, **style),
        *(
            written(x, {"x": value, "text": words}, 6, y=None, encoding=below, color=WARM)
            for value, words in limits
            if words
        ),
    ]


def written(
    x: Axis, row: Row, distance: int, *, encoding: Spec | None = None, **style: Any
) -> Spec:
    """The text of a row beside its place, on the side that is nearer to the middle of the chart."""
    left = row["x"] > (x.lower + x.upper) / 2
    side: Spec = {"align": "right" if left else "left", "dx": -distance if left else distance}
    return layer(
        "text", [row], encoding={"text": {"field": "text"}, **(encoding or {})}, **side, **style
    )


def front_layers(front: Sequence[Candidate], cost: str, measure: Measure) -> list[Spec]:
    """The best score that each cost allows as a line, and a knot for every candidate of the front.

    With several costs, the line is of those candidates that are best for the one that is drawn.
    """
    if not front:
        return []
    ordered = sorted(front, key=lambda one: (one.costs[cost], one.score))
    rows = [
        {
            "x": one.costs[cost],
            "y": one.score,
            "front": str(one.architecture),
            measure.noun: measure.show(one.score),
            find_cost(cost).label: format_cost(cost, one.costs[cost]),
        }
        for one in ordered
    ]
    best = accumulate((one.score for one in ordered), max)
    line = [{"x": one.costs[cost], "y": score} for one, score in zip(ordered, best, strict=True)]
    return [
        layer("line", line, color=WARM, interpolate="step-after"),
        layer("point", rows, tooltip=True, size=80, fill=PAPER, stroke=WARM, opacity=1),
    ]


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
    return cost_axis(cost.name, lower, upper), limits


def budgets_figure(result: Result) -> Chart | None:
    """One-shot and test scores of the networks over their cost; None for fewer than two."""
    cost, metric = find_cost(result.primary_cost), result.metric
    rows: list[dict[str, Any]] = [
        {
            "x": one.winner.costs[cost.name],
            "y": score,
            "kind": series,
            "budget": f"at most {cost.format(one.maximum[cost.name])}",
            "architecture": str(one.winner.architecture),
            "score": f"{series} {metric.show(score)}",
            cost.label: cost.format(one.winner.costs[cost.name]),
        }
        for one in result.budgets
        for series, score in (
            ("one-shot", result.one_shot_metric(one.winner)),
            ("test", one.test_score),
        )
        if score is not None
    ]
    if len(result.budgets) < 2 or not rows:
        return None
    names = [name for name in ("one-shot", "test") if any(row["kind"] == name for row in rows)]
    colours = coloured("kind", dict(zip(names, (ACCENT, WARM), strict=False)))
    limits = [one.maximum[cost.name] for one in result.budgets]
    spent = [one.winner.costs[cost.name] for one in result.budgets]
    x = cost_axis(cost.name, *padded_range([*limits, *spent], limits[-1] * 0.04))
    return make_chart(
        "budgets",
        f"{' and '.join(names)} {metric.noun} of the network found for each budget",
        "; ".join(f"{row['budget']}: {row['score']}" for row in rows),
        x,
        metric.axis(metric.noun, [row["y"] for row in rows], 0.08),
        layer("line", rows, encoding=colours),
        dots(rows, 80, encoding=colours),
        *limit_layers(x, [(limit, "") for limit in limits]),
        height=280,
    )
