"""What a check of a search space says: whether a search can win there, and by how much."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean

from rich.console import RenderableType
from rich.text import Text

from spos.cost.cost import find_cost
from spos.report.chart import ACCENT, INK, Chart, Names, dots, layer, make_chart
from spos.report.facts import StageName
from spos.report.measure import Measure
from spos.report.spread import Spread, measure_spread
from spos.report.table import ArchitectureTable, architectures_table, column, pairs_table, spaced
from spos.report.template import fill_template
from spos.report.words import stage_times

#: Probability of chance below which networks are said to differ.
SIGNIFICANT = 0.05
#: Share of the variance that is due to the networks, above which single trainings rank them.
RELIABLE = 0.5
#: Share of the way from chance to all images right below which networks have hardly learned.
LEARNED = 0.1


@dataclass(frozen=True)
class SampledNetwork:
    """A random network, its costs, and its score on the validation images by seed."""

    architecture: str
    costs: Mapping[str, int]
    scores: tuple[float, ...]


@dataclass(frozen=True)
class StageEstimate:
    """The estimated wall time of a stage of the run in seconds."""

    stage: StageName
    seconds: float


@dataclass(frozen=True)
class Diagnosis:
    """Short trainings of random networks of about the same cost.

    Args:
        cost (str): cost by which the networks are alike.
        band (tuple[float, float]): least and largest value of it.
        steps (int): steps of each training.
        metric (Measure): name of the scores, and how they are written.
        networks (tuple[SampledNetwork, ...]): the networks.
        estimates (tuple[StageEstimate, ...]): estimated wall times of the run on this machine.
        chance (float | None): accuracy of naming the most frequent class for every image; None for
            another metric.
    """

    cost: str
    band: tuple[float, float]
    steps: int
    metric: Measure
    networks: tuple[SampledNetwork, ...]
    estimates: tuple[StageEstimate, ...] = ()
    chance: float | None = None

    @cached_property
    def spread(self) -> Spread:
        """The variance of the scores, split into that of networks and that of trainings."""
        return measure_spread([network.scores for network in self.networks])

    @property
    def seconds(self) -> dict[str, float]:
        """The estimated wall times by stage."""
        return {one.stage: one.seconds for one in self.estimates}

    @property
    def gain(self) -> float:
        """What a perfect search gains over the median network; a share cannot exceed 1."""
        most = 1 - self.spread.median if self.metric.share else math.inf
        return min(self.spread.gain, most)

    def conclusions(self) -> list[str]:
        """What follows for a search, in sentences."""
        spread, show = self.spread, self.metric.difference
        differ = (
            f"After {self.steps:,} steps the networks differ by {show(spread.networks)} (standard "
            f"deviation), repeated trainings of one network by {show(spread.trainings)}."
        )
        if spread.probability >= SIGNIFICANT or not spread.networks:
            chance = self.chance
            if chance is not None and spread.median < chance + LEARNED * (1 - chance):
                return [
                    differ,
                    "They have not learned enough to tell whether a search can win: the median is "
                    f"{self.metric.show(spread.median)}, and naming the most frequent class for "
                    f"every image {self.metric.show(chance)}. Train longer (--retrain-steps).",
                ]
            return [
                differ,
                "A search has little to gain here: networks of this cost do not differ more than "
                "repeated trainings of the same network. Try a space with more freedom (depth, "
                "unequal widths), a tighter budget, or longer training.",
            ]
        words = [
            differ,
            f"A search can gain about {show(self.gain)} here: that is how far the best of 100 "
            f"networks is expected above the median of {self.metric.show(spread.median)}.",
        ]
        if spread.reliability < RELIABLE:
            words.append(
                "A single training is too noisy to compare two networks by: train longer, or with "
                "several seeds."
            )
        words.append(self._comparison())
        return words

    def _comparison(self) -> str:
        difference = self.gain / 2
        wanted = f"To show half of that ({self.metric.difference(difference)})"
        plans = ((n, self.spread.random_networks(difference, n)) for n in (1, 2, 3, 5, 10))
        enough = [(seeds, count) for seeds, count in plans if count]
        if not enough:
            return f"{wanted}, even ten trainings of the network found are too few."
        seeds, count = min(enough, key=sum)
        found = "once" if seeds == 1 else f"with {seeds} seeds"
        return (
            f"{wanted}, retrain the network found {found}, and {count} random networks "
            f"(--compare {count})."
        )


def sample_words(diagnosis: Diagnosis) -> str:
    """What was trained."""
    cost = find_cost(diagnosis.cost)
    low, high = (cost.format(value) for value in diagnosis.band)
    return f"Random networks of {low} to {high} {cost.noun}, trained for {diagnosis.steps:,} steps"


def sampled_networks_table(diagnosis: Diagnosis) -> ArchitectureTable:
    """The networks by their mean scores, best first."""
    cost, show = find_cost(diagnosis.cost), diagnosis.metric.show
    ranked = sorted(diagnosis.networks, key=lambda one: -sum(one.scores))
    by_seed = zip(*(one.scores for one in ranked), strict=True)
    return ArchitectureTable(
        leading=(),
        values=(
            *(column(f"seed {number}", map(show, row)) for number, row in enumerate(by_seed)),
            column("mean", (show(fmean(one.scores)) for one in ranked)),
            column(cost.heading, (cost.format(one.costs[cost.name]) for one in ranked)),
        ),
        architectures=tuple(one.architecture for one in ranked),
        best=-1,
    )


def doctor_tables(diagnosis: Diagnosis) -> list[RenderableType]:
    """A check of a space as tables and sentences for the terminal.

    Args:
        diagnosis (Diagnosis): outcome of the check.
    """
    title, table = f"Validation {diagnosis.metric.noun}", sampled_networks_table(diagnosis)
    parts: list[RenderableType] = [
        Text(sample_words(diagnosis)),
        architectures_table(title, table),
        *map(Text, diagnosis.conclusions()),
    ]
    if diagnosis.seconds:
        parts.append(pairs_table("Estimated wall time", stage_times(diagnosis.seconds)))
    return spaced(parts)


def seeds_figure(diagnosis: Diagnosis) -> Chart:
    """The scores of each network of a check of a space, a dot for each seed, best network first."""
    metric, cost = diagnosis.metric, find_cost(diagnosis.cost)
    ranked = sorted(diagnosis.networks, key=lambda one: -fmean(one.scores))
    places = [str(place) for place in range(1, len(ranked) + 1)]
    rows = [
        {
            "x": score,
            "y": place,
            "architecture": one.architecture,
            "seed": str(seed),
            f"validation {metric.noun}": metric.show(score),
            cost.label: cost.format(one.costs[cost.name]),
        }
        for place, one in zip(places, ranked, strict=True)
        for seed, score in enumerate(one.scores)
    ]
    averages = (fmean(one.scores) for one in ranked)
    means = [{"x": mean, "y": place} for place, mean in zip(places, averages, strict=True)]
    spread = diagnosis.spread
    return make_chart(
        "seeds",
        f"Validation {metric.noun} of each network, by seed",
        f"Networks differ by {metric.difference(spread.networks)} (standard deviation), repeated "
        f"trainings of one network by {metric.difference(spread.trainings)}.",
        metric.axis(f"validation {metric.noun}", [score for one in ranked for score in one.scores]),
        Names(places),
        dots(rows, 80, opacity=0.8, color=ACCENT),
        layer("tick", means, color=INK, thickness=2, height=14),
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
        times=stage_times(diagnosis.seconds),
    )
