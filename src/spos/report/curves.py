"""Curves over time: a search over its iterations, a training over its steps."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

from markupsafe import Markup

from spos.report.chart import (
    Axis,
    Chart,
    Point,
    padded_range,
    percent_labels,
    plain_labels,
)
from spos.report.measure import Measure
from spos.search.candidate import Candidate

#: Most points of a curve: more cannot be told apart.
CURVE_POINTS = 250


def iterations_figure(
    measure: Measure, candidates: Sequence[Candidate], width: int
) -> Markup | None:
    """The best score so far and the mean of each population; None for fewer than two iterations."""
    populations: dict[int, list[float]] = defaultdict(list)
    for candidate in sorted(candidates, key=lambda one: one.iteration):
        populations[candidate.iteration].append(candidate.score)
    if len(populations) < 2:
        return None
    highest = accumulate(map(max, populations.values()), max)
    best: list[Point] = [*zip(populations, highest, strict=True)]
    mean: list[Point] = [(at, statistics.fmean(scores)) for at, scores in populations.items()]
    scores = [score for _, score in best + mean]
    show = measure.show
    chart = Chart(
        f"iterations-{width}",
        f"One-shot {measure.noun} over the iterations of the search",
        f"The best so far rises from {show(best[0][1])} to {show(best[-1][1])}, the mean of "
        f"the population goes from {show(mean[0][1])} to {show(mean[-1][1])}.",
        (width, 250),
        Axis("iteration", mean[0][0], mean[-1][0], plain_labels, whole=True),
        measure.axis(f"one-shot {measure.noun}", scores),
        (34, 92, 44, 52),
    )
    curves = (("mean", "second", mean), ("best", "first", best))
    for name, class_, points in curves:
        chart.line(points, class_)
        for at, value in points:
            tooltip = f"iteration {at:.0f}: {name} {show(value)}"
            chart.circle((at, value), 2.5, f"knot {class_}", tooltip)
    chart.label_ends(
        *((points[-1][1], f"{name} {show(points[-1][1])}", c) for name, c, points in curves[::-1])
    )
    return chart.svg()


def training_figures(metrics: Sequence[Mapping[str, Any]], stage: str) -> list[Markup]:
    """Training loss and accuracy over the steps of a training."""
    recorded = [line for line in metrics if line["stage"] == stage]
    figures = []
    for key, name, labels, show, smallest in (
        ("loss", "training loss", plain_labels, "{:.3f}".format, 0.1),
        ("top1", "training accuracy", percent_labels, "{:.1%}".format, 0.02),
    ):
        points = _thin([(line["step"], line[key]) for line in recorded if _finite(line.get(key))])
        if len(points) < 2:
            continue
        lower, upper = padded_range([value for _, value in points], smallest)
        step, value = points[-1]
        chart = Chart(
            f"{stage}-{key}",
            f"{name} over steps",
            f"From {show(points[0][1])} to {show(value)} in {step:,.0f} steps.",
            (430, 230),
            Axis("step", 0, step),
            Axis(name, lower, upper, labels),
            (34, 14, 44, 52),
        )
        chart.line(points, "first")
        chart.circle((step, value), 3, "knot first", f"step {step:,.0f}: {show(value)}")
        figures.append(chart.svg())
    return figures


def _finite(value: object) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _thin(points: list[Point]) -> list[Point]:
    """Means over as many neighbours as leave a curve of few points; the last point stays."""
    points.sort()
    size = math.ceil(len(points) / CURVE_POINTS)
    if size <= 1:
        return points
    groups = [points[begin : begin + size] for begin in range(0, len(points) - 1, size)]
    means = [(statistics.fmean(x for x, _ in g), statistics.fmean(y for _, y in g)) for g in groups]
    return [*means, points[-1]]
