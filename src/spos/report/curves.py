"""Curves over time: a search over its iterations, trainings and their choices over steps."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spos.report.chart import (
    ACCENT,
    INK,
    LEVELS,
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
from spos.report.facts import ChoiceFacts
from spos.report.measure import Measure
from spos.report.network import option_colours
from spos.search.candidate import Candidate

#: Most points of a curve: more cannot be told apart.
CURVE_POINTS = 250

Point = tuple[float, float]
Metrics = Sequence[Mapping[str, Any]]


def iterations_figure(measure: Measure, candidates: Sequence[Candidate]) -> Chart | None:
    """The best score so far and the mean of each population; None for fewer than two iterations."""
    populations: dict[int, list[float]] = defaultdict(list)
    full: dict[int, list[float]] = defaultdict(list)
    for candidate in sorted(candidates, key=lambda one: one.iteration):
        populations[candidate.iteration].append(candidate.score)
        if candidate.dropped_after is None:
            full[candidate.iteration].append(candidate.score)
    if len(populations) < 2:
        return None
    show, highest = (
        measure.show,
        accumulate((max(full[at], default=-math.inf) for at in populations), max),
    )
    best: list[Point] = [*zip(populations, highest, strict=True)]
    mean: list[Point] = [(at, statistics.fmean(scores)) for at, scores in populations.items()]
    # What appears above a dot is known by the fields of the first one.
    rows = [
        {"x": at, "y": score, "kind": name, "iteration": at, "score": f"{name} {show(score)}"}
        for name, points in (("best so far", best), ("mean of the iteration", mean))
        for at, score in points
    ]
    scores = [score for _, score in best + mean]
    colours = coloured("kind", {"best so far": ACCENT, "mean of the iteration": WARM})
    return make_chart(
        "iterations",
        f"One-shot {measure.noun} over the iterations of the search",
        f"The best so far {_course(measure, best[0][1], best[-1][1])}, the mean of "
        f"the population goes from {show(mean[0][1])} to {show(mean[-1][1])}.",
        Axis("iteration", *padded_range([at for at, _ in mean], 1, 0.02), whole=True),
        measure.axis(f"one-shot {measure.noun}", scores),
        layer("line", rows, encoding=colours),
        dots(rows, 45, encoding=colours),
    )


def _course(measure: Measure, first: float, last: float) -> str:
    """How a score that never gets worse goes on; a loss, which falls, is the negative of one."""
    if measure.show(first) == measure.show(last):
        return f"stays at {measure.show(first)}"
    verb = "falls" if measure.negated else "rises"
    return f"{verb} from {measure.show(first)} to {measure.show(last)}"


def training_figures(metrics: Metrics, stage: str, measure: Measure) -> Iterator[Chart]:
    """Training loss and accuracy, and the score on validation images, over a training's steps."""
    recorded = [line for line in metrics if line["stage"] == stage]
    validated = f"{measure.noun} on validation images"
    ticks = PERCENT if measure.share else PLAIN
    for key, name, label, show, smallest in (
        ("loss", "training loss", PLAIN, "{:.3f}".format, 0.1),
        ("top1", "training accuracy", PERCENT, "{:.1%}".format, 0.02),
        ("validation", validated, ticks, measure.show, 0.02),
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
        yield make_chart(
            f"{stage}-{key}",
            f"{name} over steps",
            f"From {show(points[0][1])} to {show(value)} in {step:,.0f} steps.",
            Axis("step", *padded_range([0, step], 1, 0.02)),
            Axis(name, *padded_range([value for _, value in points], smallest), label),
            layer("line", rows, color=ACCENT),
            {**point, "params": [{"name": "near", "select": select}]},
            height=180,
        )


def validation_note(metrics: Metrics) -> str:
    """What the scores on validation images are about; empty without any.

    Example:
        >>> validation_note([{"stage": "retrain", "validation_images": 100, "held_out": True}])
        'The network is not trained on the 100 validation images.'
    """
    lines = [line for line in metrics if "validation_images" in line]
    if not lines:
        return ""
    images = f"the {lines[-1]['validation_images']:,} validation images"
    if lines[-1]["held_out"]:
        return f"The network is not trained on {images}."
    return (
        f"The network is trained on {images} as well: their curve shows whether it has converged, "
        "not how well it does on new images."
    )


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


@dataclass(frozen=True)
class Decision:
    """The probabilities of a choice over the steps.

    Args:
        name (str): name of the choice.
        options (tuple[str, ...]): names of its options.
        shares (NDArray[np.float64]): probabilities, shape (records, options).
    """

    name: str
    options: tuple[str, ...]
    shares: NDArray[np.float64]

    def entropies(self) -> NDArray[np.float64]:
        """The entropy of each record as a share of the largest: 1 is uniform, 0 is decided."""
        # scipy takes half a second to import, and few reports have probabilities.
        from scipy.special import entr

        largest = math.log(len(self.options)) or 1.0
        return np.asarray(entr(self.shares).sum(axis=1) / largest)


def decisions(choices: Sequence[ChoiceFacts], metrics: Metrics) -> tuple[list[int], list[Decision]]:
    """The steps at which theta was recorded, and what was recorded of each choice.

    Example:
        >>> line = {"stage": "theta", "step": 0, "probabilities": [[0.5, 0.5]]}
        >>> steps, (stem,) = decisions([ChoiceFacts("stem", ("a", "b"))], [line])
        >>> steps, stem.entropies().tolist()
        ([0], [1.0])
    """
    sizes = [len(choice.options) for choice in choices]
    # A line that is damaged is left out.
    recorded = [
        line
        for line in metrics
        if line["stage"] == "theta" and _are_shares(line.get("probabilities"), sizes)
    ]
    lines = sorted(recorded, key=lambda line: line["step"])
    return [line["step"] for line in lines], [
        Decision(
            choice.name,
            choice.options,
            np.array([line["probabilities"][place] for line in lines], dtype=float),
        )
        for place, choice in enumerate(choices)
    ]


def _are_shares(value: Any, sizes: Sequence[int]) -> bool:
    """Whether a value is a list of probabilities for each choice, of so many options."""
    rows = value if isinstance(value, list) else []
    return [len(row) if isinstance(row, list) else 0 for row in rows] == list(sizes) and all(
        _finite(share) and 0 <= share <= 1 for row in rows for share in row
    )


def entropy_figure(choices: Sequence[ChoiceFacts], metrics: Metrics) -> Chart | None:
    """The entropy of each choice over the steps; None for fewer than two records."""
    steps, known = decisions(choices, metrics)
    if len(steps) < 2:
        return None
    curves = [choice.entropies() for choice in known]
    mean = np.mean(curves, axis=0)
    shades = {
        choice.name: f"var(--r{round(place / max(1, len(known) - 1) * (LEVELS - 1))})"
        for place, choice in enumerate(known)
    }

    def rows(name: str, curve: NDArray[np.float64]) -> list[dict[str, Any]]:
        return [
            {"x": step, "y": float(value), "choice": name, "step": step, "entropy": f"{value:.1%}"}
            for step, value in zip(steps, curve, strict=True)
        ]

    lines = [row for one, curve in zip(known, curves, strict=True) for row in rows(one.name, curve)]
    colours = coloured("choice", shades, legend=False)
    return make_chart(
        "entropy",
        "Entropy of each choice over the steps of the training",
        f"The mean goes from {mean[0]:.1%} to {mean[-1]:.1%} of the entropy of a uniform choice.",
        Axis("step", steps[0], steps[-1]),
        Axis("entropy, of the largest possible", 0, 1, PERCENT),
        layer("line", lines, encoding=colours, strokeWidth=1.4),
        layer("line", rows("mean", mean), color=INK, strokeWidth=3),
        dots([*lines, *rows("mean", mean)], 60, opacity=0.01),
    )


def choice_figures(choices: Sequence[ChoiceFacts], metrics: Metrics) -> Iterator[Chart]:
    """The probability of each option over the steps, a small chart for each choice."""
    steps, known = decisions(choices, metrics)
    classes = option_colours(choices)
    for place, choice in enumerate(known if len(steps) > 1 else ()):
        best = int(choice.shares[-1].argmax())
        words = f"{choice.name}: {choice.options[best]} {choice.shares[-1, best]:.1%}"
        rows = [
            {
                "x": step,
                "y": float(share),
                "option": option,
                "probability": f"from {shares[0]:.1%} to {shares[-1]:.1%}",
            }
            for option, shares in zip(choice.options, choice.shares.T, strict=True)
            for step, share in zip(steps, shares, strict=True)
        ]
        paints = {option: f"var(--{classes[option]})" for option in choice.options}
        stacked = {"field": "y", "stack": "zero", "axis": None}
        places = {"x": {"field": "x", "axis": None}, "y": stacked}
        colours = coloured("option", paints, legend=False)
        yield make_chart(
            f"choice-{place}",
            words,
            f"{words} after {steps[-1]:,.0f} steps.",
            Axis("", steps[0], steps[-1]),
            Axis("", 0, 1, PERCENT),
            layer("area", rows, tooltip=True, encoding=places | colours),
            height=70,
        )
