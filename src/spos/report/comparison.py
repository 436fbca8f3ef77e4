"""The network found among random ones, on one line of test scores."""

from __future__ import annotations

from typing import Any

from spos.report.chart import (
    ACCENT,
    SOFT,
    WARM,
    Chart,
    Names,
    Spec,
    coloured,
    dots,
    layer,
    make_chart,
)
from spos.report.result import Result
from spos.report.words import verdict

#: Colours of the networks that were retrained.
COLOURS = {"found": ACCENT, "random": SOFT, "uniform": WARM}


def comparison_figure(result: Result) -> Chart | None:
    """The network found, random ones and the uniform one as dots over the test score."""
    compared, judged, measure = result.comparison, verdict(result), result.metric
    if compared is None or judged is None:
        return None
    noun = f"test {measure.noun}"
    rows: list[dict[str, Any]] = [
        {"x": compared.found_test_score, "y": "found", "network": "found"}
    ]
    rows += [{"x": one.test_score, "y": kind, "network": one.name} for kind, one in compared.others]
    rows = [{**row, noun: measure.show(row["x"])} for row in rows]
    values = [row["x"] for row in rows]
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
        judged.words,
        measure.axis(noun, values),
        Names(list(dict.fromkeys(row["y"] for row in rows))),
        [
            dots(rows, 130, opacity=0.85, encoding=coloured("y", COLOURS, legend=False)),
            *spread,
            layer("tick", average, tooltip=True, color=SOFT, thickness=3),
        ],
        height=150,
    )
