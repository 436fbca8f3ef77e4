"""The network found among random ones, on one line of test scores."""

from __future__ import annotations

from markupsafe import Markup

from spos.report.chart import Chart, element
from spos.report.measure import Measure
from spos.report.result import Comparison


def comparison_figure(
    compared: Comparison, measure: Measure, description: str, width: int
) -> Markup:
    """The network found and the random ones as dots over the test score."""
    found, mean, deviation = compared.found_test_score, compared.random_mean, compared.random_std
    values = [network.test_score for network in compared.networks]
    if compared.uniform:
        values.append(compared.uniform.test_score)
    values += [found, mean - (deviation or 0.0), mean + (deviation or 0.0)]
    axis = measure.axis(f"test {measure.noun}", values)
    # Dots that would cover each other are stacked; the height follows the highest stack.
    stacks: dict[int, int] = {}
    placed = []
    for network in compared.networks:
        share = (network.test_score - axis.lower) / (axis.upper - axis.lower)
        column = round(share * (width - 40) / 12)
        placed.append((network, stacks.get(column, 0)))
        stacks[column] = stacks.get(column, 0) + 1
    tall = max(stacks.values()) * 12
    chart = Chart(
        f"comparison-{width}",
        f"Test {measure.noun} of the network found and of random ones",
        description,
        (width, 116 + tall + 46),
        axis,
        None,
        (20, 20, 46, 20),
    )
    base = chart.bottom - 14
    _draw_mean(chart, mean, deviation, measure, base - tall - 2, base + 8)
    for network, place in placed:
        tooltip = element("title", f"{network.name}: {measure.show(network.test_score)}")
        x, y = chart.x(network.test_score), base - 12.0 * place
        chart.add(element("circle", tooltip, cx=x, cy=y, r=5, class_="other"))
    if compared.uniform:
        one = compared.uniform
        at = chart.x(one.test_score)
        tooltip = element("title", f"{one.name}: {measure.show(one.test_score)}")
        chart.add(element("rect", tooltip, x=at - 4, y=base - 4, width=8, height=8, class_="other"))
    x, y = chart.vertical(found, "limit found", 24, chart.bottom), 24
    chart.add(element("circle", cx=x, cy=y, r=7, class_="found-dot"))
    chart.text_beside(x, y + 4, f"found {measure.show(found)}", "mark", 14)
    return chart.svg()


def _draw_mean(
    chart: Chart, mean: float, deviation: float | None, measure: Measure, top: float, bottom: float
) -> None:
    words = "random"
    if deviation is not None:
        left = chart.x(mean - deviation)
        size = {"width": chart.x(mean + deviation) - left, "height": bottom - top}
        chart.add(element("rect", x=left, y=top, **size, rx=3, class_="band"))
        written = f"{deviation * 100:.1f}" if measure.share else measure.difference(deviation)
        words = f"random, mean {measure.show(mean)} ± {written}"
    at = chart.vertical(mean, "mean", top, bottom)
    # Kept inside the chart where the mean lies near its edge.
    x = min(max(at, chart.left + 80), chart.right - 80)
    chart.text(x, top - 8, words, "tick", "middle")
