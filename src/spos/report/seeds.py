"""Repeated trainings of networks, beside how far networks differ."""

from __future__ import annotations

from statistics import fmean
from typing import Any

from spos.cost.cost import find_cost
from spos.report.chart import ACCENT, INK, Chart, Names, layer, make_chart
from spos.report.diagnosis import Diagnosis


def seeds_figure(diagnosis: Diagnosis) -> Chart:
    """The scores of each network of a check of a space, a dot for each seed, best network first."""
    metric, cost = diagnosis.metric, find_cost(diagnosis.cost)
    ranked = sorted(diagnosis.networks, key=lambda one: -fmean(one.scores))
    rows: list[dict[str, Any]] = [
        {
            "x": score,
            "y": str(place),
            "architecture": one.architecture,
            "seed": str(seed),
            f"validation {metric.noun}": metric.show(score),
            cost.label: cost.format(one.costs[cost.name]),
        }
        for place, one in enumerate(ranked, 1)
        for seed, score in enumerate(one.scores)
    ]
    means: list[dict[str, Any]] = [
        {"x": fmean(one.scores), "y": str(place)} for place, one in enumerate(ranked, 1)
    ]
    spread = diagnosis.spread
    return make_chart(
        "seeds",
        f"Validation {metric.noun} of each network, by seed",
        f"Networks differ by {metric.difference(spread.networks)} (standard deviation), repeated "
        f"trainings of one network by {metric.difference(spread.trainings)}.",
        metric.axis(f"validation {metric.noun}", [score for one in ranked for score in one.scores]),
        Names([row["y"] for row in means]),
        [
            layer("point", rows, tooltip=True, color=ACCENT, filled=True, opacity=0.8, size=80),
            layer("tick", means, color=INK, thickness=2, height=14),
        ],
        height=22 * len(ranked) + 20,
    )
