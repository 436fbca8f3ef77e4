"""The page of a check of a space: repeated trainings of networks, beside how far they differ."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from spos.cost.cost import find_cost
from spos.report.chart import ACCENT, INK, Chart, Names, dots, layer, make_chart
from spos.report.diagnosis import Diagnosis, sample_words, sampled_networks_table
from spos.report.template import fill_template
from spos.report.words import wall_times


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
            dots(rows, 80, opacity=0.8, color=ACCENT),
            layer("tick", means, color=INK, thickness=2, height=14),
        ],
        height=22 * len(ranked) + 20,
    )


def doctor_page(diagnosis: Diagnosis, origin: Sequence[str]) -> str:
    """The page of a check of a space, which needs no other file.

    Args:
        diagnosis (Diagnosis): outcome of the check.
        origin (Sequence[str]): names of the space, its preset and the images.
    """
    return fill_template(
        "doctor.html.j2",
        origin=origin,
        conclusions=diagnosis.conclusions(),
        sample=sample_words(diagnosis),
        chart=seeds_figure(diagnosis),
        table=sampled_networks_table(diagnosis),
        noun=diagnosis.metric.noun,
        times=wall_times(diagnosis.seconds),
    )
