"""How a differentiable search decided: entropy and probabilities of the options over the steps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

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
    recorded = [line for line in metrics if line["stage"] == "theta"]
    lines = sorted(recorded, key=lambda line: line["step"])
    return [line["step"] for line in lines], [
        Decision(
            choice.name,
            choice.options,
            np.array([line["probabilities"][place] for line in lines], dtype=float),
        )
        for place, choice in enumerate(choices)
    ]


def entropy_figure(choices: Sequence[ChoiceFacts], metrics: Metrics, width: int) -> Markup | None:
    """The entropy of each choice over the steps; None for fewer than two records."""
    steps, known = decisions(choices, metrics)
    if len(steps) < 2:
        return None
    curves = [choice.entropies() for choice in known]
    mean = np.mean(curves, axis=0)
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
    """The probability of each option over the steps, a small chart for each choice."""
    steps, known = decisions(choices, metrics)
    if len(steps) < 2:
        return []
    colours = option_colours(choices)
    return [_small(choice, steps, colours) for choice in known]


def _small(choice: Decision, steps: Sequence[float], colours: Mapping[str, str]) -> Markup:
    width, height = _SIZE
    xs = (np.array(steps) - steps[0]) / (steps[-1] - steps[0]) * width
    # The upper edge of each option, on those below it; the first is the floor.
    sums = np.pad(choice.shares.cumsum(axis=1), ((0, 0), (1, 0)))
    edges = [
        [f"{x:.1f} {y:.1f}" for x, y in zip(xs, column, strict=True)]
        for column in (20 + _AREA * (1 - sums)).T
    ]
    parts = [element("text", choice.name, x=0, y=13, class_="name")]
    shares_of = zip(choice.options, choice.shares.T, pairwise(edges), strict=True)
    for option, shares, (below, above) in shares_of:
        outline = "L".join([*above, *reversed(below)])
        tooltip = element("title", f"{option}: from {shares[0]:.1%} to {shares[-1]:.1%}")
        parts.append(
            element("path", tooltip, d=f"M{outline}Z", class_=f"band-of {colours[option]}")
        )
    best = int(choice.shares[-1].argmax())
    words = f"{choice.options[best]} {choice.shares[-1, best]:.1%}"
    parts.append(element("text", words, x=width, y=height - 7, class_="share", text_anchor="end"))
    return element(
        "svg",
        *parts,
        viewBox=f"0 0 {width} {height}",
        role="img",
        aria_label=f"{choice.name}: {words} after {steps[-1]:,.0f} steps",
        class_="chart",
    )
