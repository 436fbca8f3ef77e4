"""How a differentiable search decided: entropy and probabilities of the options over the steps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from spos.report.chart import Axis, Chart, element, level, percent_labels
from spos.report.network import option_colours
from spos.report.result import ChoiceFacts

#: Width, height, and height of the area of a small chart, in pixels.
_SIZE, _AREA = (200, 112), 70

Metrics = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Decision:
    """The probabilities of a choice over the steps.

    Args:
        name (str): name of the choice.
        options (tuple[str, ...]): names of its options.
        shares (list[list[float]]): for each record, the probability of each option.
    """

    name: str
    options: tuple[str, ...]
    shares: list[list[float]]

    def entropies(self) -> list[float]:
        """The entropy of each record as a share of the largest: 1 is uniform, 0 is decided."""
        largest = math.log(len(self.options)) or 1.0
        return [-sum(p * math.log(p) for p in record if p > 0) / largest for record in self.shares]


def decisions(choices: Sequence[ChoiceFacts], metrics: Metrics) -> tuple[list[int], list[Decision]]:
    """The steps at which theta was recorded, and what was recorded of each choice.

    Args:
        choices (Sequence[ChoiceFacts]): choices of the search space.
        metrics (Sequence[Mapping]): lines of ``metrics.jsonl``.

    Example:
        >>> line = {"stage": "theta", "step": 0, "probabilities": [[0.5, 0.5]]}
        >>> steps, (stem,) = decisions([ChoiceFacts("stem", ("a", "b"))], [line])
        >>> steps, stem.entropies()
        ([0], [1.0])
    """
    lines = sorted(
        (line for line in metrics if line["stage"] == "theta"), key=lambda line: line["step"]
    )
    return [line["step"] for line in lines], [
        Decision(choice.name, choice.options, [line["probabilities"][place] for line in lines])
        for place, choice in enumerate(choices)
    ]


def entropy_figure(choices: Sequence[ChoiceFacts], metrics: Metrics, width: int) -> Markup | None:
    """The entropy of each choice over the steps.

    Args:
        choices (Sequence[ChoiceFacts]): choices of the search space.
        metrics (Sequence[Mapping]): lines of ``metrics.jsonl``.
        width (int): width in pixels.

    Returns:
        The chart; None for fewer than two records.
    """
    steps, known = decisions(choices, metrics)
    if len(steps) < 2:
        return None
    curves = [choice.entropies() for choice in known]
    mean = [sum(column) / len(curves) for column in zip(*curves, strict=True)]
    chart = Chart(
        f"entropy-{width}",
        "Entropy of each choice over the steps of the training",
        f"The mean goes from {mean[0]:.1%} to {mean[-1]:.1%} of the entropy of a uniform choice.",
        (width, 250),
        Axis("step", steps[0], steps[-1]),
        Axis("entropy, of the largest possible", 0, 1, percent_labels),
        (34, 100, 44, 52),
    )
    for place, (choice, curve) in enumerate(zip(known, curves, strict=True)):
        shade = f"s{level(place, len(known) - 1)}"
        points = list(zip(steps, curve, strict=True))
        chart.line(points, f"thin {shade}", f"{choice.name}: {curve[-1]:.1%} at the end")
    chart.line(list(zip(steps, mean, strict=True)), "mean-line")
    chart.label_ends((mean[-1], f"mean {mean[-1]:.1%}", ""))
    return chart.svg()


def choice_figures(choices: Sequence[ChoiceFacts], metrics: Metrics) -> list[Markup]:
    """The probability of each option over the steps, a small chart for each choice.

    Args:
        choices (Sequence[ChoiceFacts]): choices of the search space.
        metrics (Sequence[Mapping]): lines of ``metrics.jsonl``.
    """
    steps, known = decisions(choices, metrics)
    if len(steps) < 2:
        return []
    colours = option_colours(choices)
    return [_small(choice, steps, colours) for choice in known]


def _small(choice: Decision, steps: Sequence[float], colours: Mapping[str, str]) -> Markup:
    width, height = _SIZE
    top = 20

    def x(step: float) -> float:
        return (step - steps[0]) / (steps[-1] - steps[0]) * width

    def edge(sums: Sequence[float]) -> list[str]:
        return [
            f"{x(step):.1f} {top + _AREA * (1 - value):.1f}"
            for step, value in zip(steps, sums, strict=True)
        ]

    parts = [element("text", choice.name, x=0, y=13, class_="name")]
    below = [0.0] * len(steps)
    for place, option in enumerate(choice.options):
        shares = [record[place] for record in choice.shares]
        above = [low + share for low, share in zip(below, shares, strict=True)]
        outline = "L".join([*edge(above), *reversed(edge(below))])
        tooltip = element("title", f"{option}: from {shares[0]:.1%} to {shares[-1]:.1%}")
        parts.append(
            element("path", tooltip, d=f"M{outline}Z", class_=f"band-of {colours[option]}")
        )
        below = above
    last = choice.shares[-1]
    best = max(range(len(last)), key=last.__getitem__)
    words = f"{choice.options[best]} {last[best]:.1%}"
    parts.append(element("text", words, x=width, y=height - 7, class_="share", text_anchor="end"))
    return element(
        "svg",
        *parts,
        viewBox=f"0 0 {width} {height}",
        role="img",
        aria_label=f"{choice.name}: {words} after {steps[-1]:,.0f} steps",
        class_="chart",
    )
