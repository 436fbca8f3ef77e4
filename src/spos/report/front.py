"""The front of score and cost as a step line among the candidates."""

from __future__ import annotations

from collections.abc import Sequence

from spos.cost.cost import format_cost
from spos.report.chart import Chart, Point
from spos.report.measure import Measure
from spos.search.candidate import Candidate


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
