"""The front of accuracy and cost as a step line among the candidates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spos.report.chart import Chart, Point, finite
from spos.report.measure import Measure
from spos.report.words import cost as written

Row = Mapping[str, Any]


def draw_front(chart: Chart, front: Sequence[Row], cost: str, by: Measure) -> None:
    """Draw the best score that each cost allows, and a knot for every network of the front.

    With several costs, the line is of those networks that are best for the one that is drawn.

    Args:
        chart: to draw into.
        front: networks with their scores and costs.
        cost: that is on the horizontal axis.
        by: the measure of the scores.
    """
    known = [r for r in front if finite(r.get("one_shot_top1")) and finite(r.get(cost))]
    if not known:
        return
    line: list[Point] = []
    for at, score in sorted((r[cost], r["one_shot_top1"]) for r in known):
        if not line or score > line[-1][1]:
            # First along at the score so far, then up to the better one.
            line += [(at, line[-1][1]), (at, score)] if line else [(at, score)]
    chart.line([*line, (max(r[cost] for r in known), line[-1][1])], "second")
    for row in known:
        chart.circle(
            (row[cost], row["one_shot_top1"]),
            4.5,
            "front-dot",
            f"front: {row.get('architecture', '')}\n{by.show(row['one_shot_top1'])}, "
            f"{written(cost, row[cost])}",
        )
