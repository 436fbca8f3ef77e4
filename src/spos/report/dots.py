"""The found network among random ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from spos.report.chart import Axis, Chart, element, spread
from spos.report.words import Verdict

Row = Mapping[str, Any]


def comparison_figure(comparison: Row, judged: Verdict, width: int) -> Markup | None:
    """The found network and the random ones on one line of test scores."""
    found, by = judged.found, judged.measure
    deviation = judged.spread or 0.0
    values = [*judged.scores, judged.mean - deviation, judged.mean + deviation]
    values += [] if found is None else [found]
    lower, upper = spread(values, by.least(values))
    # Dots that would cover each other are stacked; the height follows the highest stack.
    stacks: dict[int, int] = {}
    placed = []
    for network in comparison.get("networks") or []:
        if network.get("test_top1") is None:
            continue
        share = (network["test_top1"] - lower) / (upper - lower)
        column = round(share * (width - 40) / 12)
        placed.append((network, stacks.get(column, 0)))
        stacks[column] = stacks.get(column, 0) + 1
    tall = max(stacks.values()) * 12
    chart = Chart(
        f"comparison-{width}",
        f"Test {by.noun} of the found network and of random ones",
        judged.words,
        (width, 116 + tall + 46),
        Axis(f"test {by.noun}", lower, upper, by.labels),
        None,
        (20, 20, 46, 20),
    )
    base = chart.bottom - 14
    _band(chart, judged, base - tall - 2, base + 8)
    for network, place in placed:
        tooltip = f"{network.get('name', '')}: {by.show(network['test_top1'])}"
        x = chart.x(network["test_top1"])
        chart.add(
            element(
                "circle",
                element("title", tooltip),
                cx=x,
                cy=base - 12.0 * place,
                r=5,
                class_="other",
            )
        )
    if found is not None:
        x, y = chart.x(found), 24
        end = x > (chart.left + chart.right) / 2
        chart.add(element("path", d=f"M{x:.1f} {y}V{chart.bottom}", class_="limit found"))
        chart.add(element("circle", cx=x, cy=y, r=7, class_="found-dot"))
        words = f"found {by.show(found)}"
        chart.text(x + (-14 if end else 14), y + 4, words, "mark", "end" if end else "start")
    return chart.svg()


def _band(chart: Chart, judged: Verdict, top: float, bottom: float) -> None:
    at, by = chart.x(judged.mean), judged.measure
    words = "random" if judged.spread is None else "random, mean"
    if judged.spread is not None:
        left = chart.x(judged.mean - judged.spread)
        wide = chart.x(judged.mean + judged.spread) - left
        chart.add(
            element("rect", x=left, y=top, width=wide, height=bottom - top, rx=3, class_="band")
        )
        deviation = f"{judged.spread * 100:.1f}" if by.share else by.difference(judged.spread)
        words += f" {by.show(judged.mean)} ± {deviation}"
    chart.add(element("path", d=f"M{at:.1f} {top:.1f}V{bottom:.1f}", class_="mean"))
    # Kept inside the chart where the mean lies near its edge.
    x = min(max(at, chart.left + 80), chart.right - 80)
    chart.text(x, top - 8, words, "tick", "middle")
