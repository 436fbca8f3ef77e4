"""What changes over time: the search over its iterations, a training over its steps."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from spos.report.chart import Axis, Chart, Point, finite, percent_labels, plain_labels, spread
from spos.report.measure import measure
from spos.report.words import percent

#: Points of a curve that a reader can tell apart.
CURVE = 250

Row = Mapping[str, Any]


def progress_figure(result: Row, candidates: Sequence[Row], width: int) -> Markup | None:
    """The best score so far and each population's mean; None for fewer than 2 iterations."""
    populations: dict[int, list[float]] = {}
    for candidate in candidates:
        if finite(candidate.get("one_shot_top1")):
            populations.setdefault(candidate.get("iteration") or 0, []).append(
                candidate["one_shot_top1"]
            )
    if len(populations) < 2:
        return None
    best: list[Point] = []
    for iteration in sorted(populations):
        highest = max(populations[iteration])
        best.append((iteration, max(highest, best[-1][1] if best else highest)))
    mean: list[Point] = [(i, statistics.fmean(populations[i])) for i in sorted(populations)]
    by = measure(result)
    scores = [y for _, y in best + mean]
    lower, upper = spread(scores, by.least(scores))
    chart = Chart(
        f"progress-{width}",
        f"One-shot {by.noun} over the iterations of the search",
        f"The best so far rises from {by.show(best[0][1])} to {by.show(best[-1][1])}, the mean of "
        f"the population goes from {by.show(mean[0][1])} to {by.show(mean[-1][1])}.",
        (width, 250),
        Axis("iteration", mean[0][0], mean[-1][0], plain_labels, whole=True),
        Axis(f"one-shot {by.noun}", lower, upper, by.labels),
        (34, 92, 44, 52),
    )
    ends = [chart.y(mean[-1][1]), chart.y(best[-1][1])]
    # The two labels need a line of text between them, however near the lines end.
    apart = max(0.0, 17 - (ends[0] - ends[1])) / 2
    for points, name, class_, at in (
        (mean, "mean", "second", ends[0] + apart),
        (best, "best", "first", ends[1] - apart),
    ):
        chart.line(points, class_)
        for at_x, value in points:
            tooltip = f"iteration {at_x:.0f}: {name} {by.show(value)}"
            chart.circle((at_x, value), 2.5, f"knot {class_}", tooltip)
        chart.text(
            chart.right + 8, at + 4, f"{name} {by.show(points[-1][1])}", f"end {class_}-text"
        )
    return chart.svg()


def training_figures(metrics: Sequence[Row], stage: str) -> list[Markup]:
    """Training loss and accuracy over the steps of a training."""
    recorded = [m for m in metrics if m.get("stage") == stage and finite(m.get("step"))]
    figures = []
    labels: Callable[[Sequence[float]], list[str]]
    for key, name, labels, least in (
        ("loss", "training loss", plain_labels, 0.1),
        ("top1", "training accuracy", percent_labels, 0.02),
    ):
        points = _thin([(m["step"], m[key]) for m in recorded if finite(m.get(key))])
        if len(points) < 2 or points[0][0] >= points[-1][0]:
            continue
        shown = percent if key == "top1" else "{:.3f}".format
        lower, upper = spread([y for _, y in points], least)
        chart = Chart(
            f"{stage}-{key}",
            f"{name} over steps",
            f"From {shown(points[0][1])} to {shown(points[-1][1])} in {points[-1][0]:,.0f} steps.",
            (430, 230),
            Axis("step", 0, points[-1][0]),
            Axis(name, lower, upper, labels),
            (34, 14, 44, 52),
        )
        chart.line(points, "first")
        step, value = points[-1]
        chart.circle((step, value), 3, "knot first", f"step {step:,.0f}: {shown(value)}")
        figures.append(chart.svg())
    return figures


def _thin(points: list[Point]) -> list[Point]:
    """Means over as many neighbours as leave a curve of few points; the last point stays."""
    points.sort()
    size = math.ceil(len(points) / CURVE)
    if size <= 1:
        return points
    groups = [points[begin : begin + size] for begin in range(0, len(points) - 1, size)]
    means = [(statistics.fmean(x for x, _ in g), statistics.fmean(y for _, y in g)) for g in groups]
    return [*means, points[-1]]
