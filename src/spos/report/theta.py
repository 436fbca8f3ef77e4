"""How a differentiable search decided: entropy and probabilities of the options over its steps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from spos.report.chart import Axis, Chart, element, finite, level, percent_labels
from spos.report.network import COLOURS
from spos.report.words import percent

#: Width, height, and height of the area of a small chart.
_SIZE, _AREA = (200, 112), 70

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Decision:
    """What is known of a choice over the steps.

    Args:
        name: of the choice.
        options: their names.
        shares: for each record, the probability of each option.
    """

    name: str
    options: tuple[str, ...]
    shares: list[list[float]]

    def undecided(self, record: int) -> float:
        """The entropy of a record as a share of the largest possible: 1 is uniform, 0 certain."""
        if len(self.options) < 2:
            return 0.0
        entropy = -sum(p * math.log(p) for p in self.shares[record] if p > 0)
        return entropy / math.log(len(self.options))


def decisions(result: Row, metrics: Sequence[Row]) -> tuple[list[float], list[Decision]]:
    """The steps at which theta was recorded, and what was recorded of each choice.

    Lines that do not fit the choices of the space are left out.

    Example:
        >>> line = {"stage": "theta", "step": 0, "probabilities": [[0.5, 0.5]]}
        >>> space = {"choices": [{"name": "stem", "options": ["a", "b"]}]}
        >>> steps, (stem,) = decisions({"space": space}, [line])
        >>> steps, stem.undecided(0)
        ([0], 1.0)
    """
    choices = (result.get("space") or {}).get("choices") or []
    counts = [len(choice["options"]) for choice in choices]
    lines = [
        metric
        for metric in metrics
        if metric.get("stage") == "theta"
        and finite(metric.get("step"))
        and [len(column) for column in metric.get("probabilities") or []] == counts
    ]
    lines.sort(key=lambda line: line["step"])
    return [line["step"] for line in lines], [
        Decision(
            choice["name"],
            tuple(choice["options"]),
            [line["probabilities"][place] for line in lines],
        )
        for place, choice in enumerate(choices)
    ]


def entropy_figure(result: Row, metrics: Sequence[Row], width: int) -> Markup | None:
    """How undecided each choice is over the steps; None for fewer than 2 records."""
    steps, known = decisions(result, metrics)
    if len(steps) < 2 or steps[0] >= steps[-1]:
        return None
    records = range(len(steps))
    curves = [[choice.undecided(record) for record in records] for choice in known]
    mean = [sum(column) / len(curves) for column in zip(*curves, strict=True)]
    chart = Chart(
        f"entropy-{width}",
        "How undecided each choice is over the steps of the search",
        f"The mean goes from {percent(mean[0])} to {percent(mean[-1])} of the entropy of a "
        "uniform choice.",
        (width, 250),
        Axis("step", steps[0], steps[-1]),
        Axis("entropy, of the largest possible", 0, 1, percent_labels),
        (34, 100, 44, 52),
    )
    for place, (choice, curve) in enumerate(zip(known, curves, strict=True)):
        tooltip = f"{choice.name}: {percent(curve[-1])} at the end"
        points = "L".join(
            f"{chart.x(step):.1f} {chart.y(value):.1f}"
            for step, value in zip(steps, curve, strict=True)
        )
        shade = f"s{level(place, len(known) - 1)}"
        title = element("title", tooltip)
        chart.add(element("path", title, d=f"M{points}", class_=f"line thin {shade}"))
    chart.line(list(zip(steps, mean, strict=True)), "mean-line")
    chart.text(chart.right + 8, chart.y(mean[-1]) + 4, f"mean {percent(mean[-1])}", "end")
    return chart.svg()


def choice_figures(result: Row, metrics: Sequence[Row]) -> list[Markup]:
    """The probability of each option over the steps, a small chart for each choice."""
    steps, known = decisions(result, metrics)
    if len(steps) < 2 or steps[0] >= steps[-1]:
        return []
    colours = {option: number for number, (option, _) in enumerate(legend(result))}
    return [_small(choice, steps, colours) for choice in known]


def legend(result: Row) -> list[tuple[str, str]]:
    """Each option of the space with its colour class, as in the drawing of the network found."""
    choices = (result.get("space") or {}).get("choices") or []
    options = dict.fromkeys(option for choice in choices for option in choice["options"])
    return [(option, f"o{number % COLOURS}") for number, option in enumerate(options)]


def _small(choice: Decision, steps: Sequence[float], colours: Mapping[str, int]) -> Markup:
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
        told = f"{option}: from {percent(shares[0])} to {percent(shares[-1])}"
        colour = f"band-of o{colours[option] % COLOURS}"
        parts.append(element("path", element("title", told), d=f"M{outline}Z", class_=colour))
        below = above
    last = choice.shares[-1]
    best = max(range(len(last)), key=last.__getitem__)
    said = f"{choice.options[best]} {percent(last[best])}"
    parts.append(element("text", said, x=width, y=height - 7, class_="share", text_anchor="end"))
    words = f"{choice.name}: {said} after {steps[-1]:,.0f} steps"
    return element(
        "svg",
        *parts,
        viewBox=f"0 0 {width} {height}",
        role="img",
        aria_label=words,
        class_="chart",
    )
