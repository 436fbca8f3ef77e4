"""The network found among random ones, on one line of test scores."""

from __future__ import annotations

from typing import Any

from spos.report.chart import ACCENT, SOFT, WARM, Chart, Names, Spec, coloured, layer, make_chart
from spos.report.measure import Measure
from spos.report.result import Comparison

#: Colours of the networks that were retrained.
COLOURS = {"found": ACCENT, "random": SOFT, "uniform": WARM}


def comparison_figure(compared: Comparison, measure: Measure, description: str) -> Chart:
    """The network found, random ones and the uniform one as dots over the test score."""
    networks = [("found", "found", compared.found_test_score)]
    networks += [("random", one.name, one.test_score) for one in compared.networks]
    if compared.uniform:
        networks.append(("uniform", compared.uniform.name, compared.uniform.test_score))
    rows: list[dict[str, Any]] = [
        {"x": score, "y": kind, "network": name, f"test {measure.noun}": measure.show(score)}
        for kind, name, score in networks
    ]
    values = [score for _, _, score in networks]
    mean, deviation = compared.random_mean, compared.random_std
    words = f"mean {measure.show(mean)}"
    spread: list[Spec] = []
    if deviation is not None:
        band: dict[str, Any] = {"x": mean - deviation, "x2": mean + deviation, "y": "random"}
        words += f", standard deviation {measure.difference(deviation)}"
        values += [band["x"], band["x2"]]
        wide = {"x2": {"field": "x2"}}
        spread = [layer("bar", [band], encoding=wide, color=SOFT, opacity=0.25, height=26)]
    average = [{"x": mean, "y": "random", "random networks": words}]
    return make_chart(
        "comparison",
        f"Test {measure.noun} of the network found and of random ones",
        description,
        measure.axis(f"test {measure.noun}", values),
        Names(list(dict.fromkeys(kind for kind, _, _ in networks))),
        [
            layer(
                "point",
                rows,
                tooltip=True,
                encoding=coloured("y", COLOURS, legend=False),
                filled=True,
                opacity=0.85,
                size=130,
            ),
            *spread,
            layer("tick", average, tooltip=True, color=SOFT, thickness=3),
        ],
        height=150,
    )
