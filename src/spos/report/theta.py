"""How a differentiable search decided: entropy and probabilities of the options over the steps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spos.report.chart import (
    INK,
    LEVELS,
    PERCENT,
    Axis,
    Chart,
    coloured,
    dots,
    layer,
    make_chart,
)
from spos.report.network import option_colours
from spos.report.result import ChoiceFacts

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
        [
            layer("line", lines, encoding=colours, strokeWidth=1.4),
            layer("line", rows("mean", mean), color=INK, strokeWidth=3),
            dots([*lines, *rows("mean", mean)], 60, opacity=0.01),
        ],
    )


def choice_figures(choices: Sequence[ChoiceFacts], metrics: Metrics) -> list[Chart]:
    """The probability of each option over the steps, a small chart for each choice."""
    steps, known = decisions(choices, metrics)
    if len(steps) < 2:
        return []
    classes, figures = option_colours(choices), []
    for place, choice in enumerate(known):
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
        figures.append(
            make_chart(
                f"choice-{place}",
                words,
                f"{words} after {steps[-1]:,.0f} steps.",
                Axis("", steps[0], steps[-1]),
                Axis("", 0, 1, PERCENT),
                [layer("area", rows, tooltip=True, encoding=places | colours)],
                height=70,
            )
        )
    return figures
