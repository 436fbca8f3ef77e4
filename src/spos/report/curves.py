"""Curves over time: a search over its iterations, a training over its steps."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

from spos.report.chart import (
    ACCENT,
    PERCENT,
    PLAIN,
    WARM,
    Axis,
    Chart,
    coloured,
    dots,
    layer,
    make_chart,
    padded_range,
)
from spos.report.measure import Measure
from spos.search.candidate import Candidate

#: Most points of a curve: more cannot be told apart.
CURVE_POINTS = 250

Point = tuple[float, float]


def iterations_figure(measure: Measure, candidates: Sequence[Candidate]) -> Chart | None:
    """The best score so far and the mean of each population; None for fewer than two iterations."""
    populations: dict[int, list[float]] = defaultdict(list)
    for candidate in sorted(candidates, key=lambda one: one.iteration):
        populations[candidate.iteration].append(candidate.score)
    if len(populations) < 2:
        return None
    show, highest = measure.show, accumulate(map(max, populations.values()), max)
    best: list[Point] = [*zip(populations, highest, strict=True)]
    mean: list[Point] = [(at, statistics.fmean(scores)) for at, scores in populations.items()]
    rows = [
        {"x": at, "y": score, "kind": name, "iteration": at, f"{name}, {measure.noun}": show(score)}
        for name, points in (("best so far", best), ("mean of the iteration", mean))
        for at, score in points
    ]
    scores = [score for _, score in best + mean]
    colours = coloured("kind", {"best so far": ACCENT, "mean of the iteration": WARM})
    return make_chart(
        "iterations",
        f"One-shot {measure.noun} over the iterations of the search",
        f"The best so far rises from {show(best[0][1])} to {show(best[-1][1])}, the mean of "
        f"the population goes from {show(mean[0][1])} to {show(mean[-1][1])}.",
        Axis("iteration", *padded_range([at for at, _ in mean], 1, 0.02), whole=True),
        measure.axis(f"one-shot {measure.noun}", scores),
        [
            layer("line", rows, encoding=colours),
            dots(rows, 45, encoding=colours),
        ],
    )


def training_figures(metrics: Sequence[Mapping[str, Any]], stage: str) -> list[Chart]:
    """Training loss and accuracy over the steps of a training."""
    recorded = [line for line in metrics if line["stage"] == stage]
    figures = []
    for key, name, label, show, smallest in (
        ("loss", "training loss", PLAIN, "{:.3f}".format, 0.1),
        ("top1", "training accuracy", PERCENT, "{:.1%}".format, 0.02),
    ):
        points = _thin([(line["step"], line[key]) for line in recorded if _finite(line.get(key))])
        if len(points) < 2:
            continue
        step, value = points[-1]
        rows = [{"x": x, "y": y, "step": f"{x:,.0f}", name: show(y)} for x, y in points]
        select = {"type": "point", "nearest": True, "on": "pointerover", "clear": "pointerout"}
        near = {"condition": {"param": "near", "empty": False, "value": 1}, "value": 0}
        dot: dict[str, Any] = {"filled": True, "size": 60, "color": ACCENT}
        point = layer("point", rows, tooltip=True, encoding={"opacity": near}, **dot)
        figures.append(
            make_chart(
                f"{stage}-{key}",
                f"{name} over steps",
                f"From {show(points[0][1])} to {show(value)} in {step:,.0f} steps.",
                Axis("step", *padded_range([0, step], 1, 0.02)),
                Axis(name, *padded_range([value for _, value in points], smallest), label),
                [
                    layer("line", rows, color=ACCENT),
                    {**point, "params": [{"name": "near", "select": select}]},
                ],
                height=180,
            )
        )
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
