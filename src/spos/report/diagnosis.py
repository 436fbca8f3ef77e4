"""What a check of a search space says: whether a search can win there, and by how much."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from spos.cost.cost import find_cost
from spos.report.measure import Measure
from spos.report.spread import Spread, measure_spread
from spos.report.words import RUN_STAGES, duration

#: Probability of chance below which networks are said to differ.
SIGNIFICANT = 0.05
#: Share of the variance that is due to the networks, above which one training tells them apart.
RELIABLE = 0.5


@dataclass(frozen=True)
class SampledNetwork:
    """A random network, its costs, and its score on the validation images by seed."""

    architecture: str
    costs: Mapping[str, int]
    scores: tuple[float, ...]


@dataclass(frozen=True)
class StageEstimate:
    """The estimated wall time of a stage of the run in seconds."""

    stage: str
    seconds: float


@dataclass(frozen=True)
class Diagnosis:
    """Short trainings of random networks of about the same cost.

    Args:
        cost (str): cost by which the networks are alike.
        band (tuple[float, float]): least and largest value of it.
        steps (int): steps of each training.
        metric (Measure): name of the scores, and how they are written.
        validation (int): number of images that the scores are measured on.
        networks (tuple[SampledNetwork, ...]): the networks.
        estimates (tuple[StageEstimate, ...]): estimated wall times of the run on this machine.
    """

    cost: str
    band: tuple[float, float]
    steps: int
    metric: Measure
    validation: int
    networks: tuple[SampledNetwork, ...]
    estimates: tuple[StageEstimate, ...] = ()

    @cached_property
    def spread(self) -> Spread:
        """The variance of the scores, split into that of networks and that of trainings."""
        return measure_spread([network.scores for network in self.networks])

    @property
    def gain(self) -> float:
        """What a perfect search gains over the median network; a share cannot exceed 1."""
        most = 1 - self.spread.median if self.metric.share else math.inf
        return min(self.spread.gain, most)

    def conclusions(self) -> list[str]:
        """What follows for a search, in sentences."""
        spread, show = self.spread, self.metric.difference
        gain = self.gain
        differ = (
            f"After {self.steps:,} steps the networks differ by {show(spread.networks)} (standard "
            f"deviation), repeated trainings of one network by {show(spread.trainings)}."
        )
        if spread.probability >= SIGNIFICANT or not spread.networks:
            return [
                differ,
                "A search can hardly win here: networks of this cost do not differ more than "
                "trainings of the same network do. Choose a space with more freedom (depth, "
                "unequal widths), a tighter budget, or longer trainings, which tell networks apart "
                "better.",
            ]
        words = [
            differ,
            "A search can win here: the best of 100 networks is expected "
            f"{show(gain)} above the median of {self.metric.show(spread.median)}; a search that "
            "ranks well finds most of that.",
        ]
        if spread.reliability < RELIABLE:
            words.append(
                "One training tells two networks apart poorly, so finalists need several seeds or "
                "longer trainings."
            )
        words.append(self._comparison())
        return words

    def _comparison(self) -> str:
        difference = self.gain / 2
        plans = {
            seeds: self.spread.random_networks(difference, seeds) for seeds in (1, 2, 3, 5, 10)
        }
        enough = [(seeds, count) for seeds, count in plans.items() if count]
        if not enough:
            return (
                f"To show half of that ({self.metric.difference(difference)}), even ten "
                "trainings of the network found are too few."
            )
        seeds, count = min(enough, key=lambda pair: sum(pair))
        found = "once" if seeds == 1 else f"with {seeds} seeds"
        return (
            f"To show half of that ({self.metric.difference(difference)}), retrain the "
            f"network found {found}, and {count} random networks (--compare {count})."
        )


def doctor_tables(diagnosis: Diagnosis) -> list[RenderableType]:
    """A check of a space as tables and sentences for the terminal.

    Args:
        diagnosis (Diagnosis): outcome of the check.
    """
    cost, show = find_cost(diagnosis.cost), diagnosis.metric.show
    low, high = (cost.format(value) for value in diagnosis.band)
    table = _table(f"Random networks of {low} to {high} {cost.noun}, {diagnosis.steps:,} steps")
    table.add_column("architecture", overflow="fold")
    seeds = len(diagnosis.networks[0].scores)
    for heading in (*(f"seed {number}" for number in range(seeds)), "mean", cost.heading):
        table.add_column(heading, justify="right", no_wrap=True)
    ranked = sorted(diagnosis.networks, key=lambda one: -sum(one.scores))
    for one in ranked:
        cells = [*map(show, one.scores), show(sum(one.scores) / seeds)]
        table.add_row(one.architecture, *cells, cost.format(one.costs[diagnosis.cost]))
    parts: list[RenderableType] = [table]
    parts += [Text(sentence) for sentence in diagnosis.conclusions()]
    if diagnosis.estimates:
        times = _table("The whole run on this machine, estimated", header=False)
        times.add_column()
        times.add_column(justify="right")
        for estimate in diagnosis.estimates:
            times.add_row(RUN_STAGES[estimate.stage], duration(estimate.seconds))
        times.add_row("Total", duration(sum(one.seconds for one in diagnosis.estimates)))
        parts.append(times)
    return [line for part in parts for line in (part, Text(""))][:-1]


def _table(title: str, *, header: bool = True) -> Table:
    return Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD if header else None,
        show_header=header,
        show_edge=False,
        pad_edge=False,
    )
