"""The network found among random ones, on one line of test scores."""

from __future__ import annotations

from markupsafe import Markup

from spos.report.chart import Axis, Chart, element, padded_range
from spos.report.measure import Measure
from spos.report.result import Comparison


def comparison_figure(
    compared: Comparison, measure: Measure, description: str, width: int
) -> Markup:
    """The network found and the random ones as dots over the test score.

    Args:
        compared (Comparison): networks with their test scores.
        measure (Measure): metric of the scores.
        description (str): what can be seen, for those who do not see it.
        width (int): width in pixels.
    """
    found, mean, deviation = compared.found_test_score, compared.random_mean, compared.random_std
    values = [network.test_score for network in compared.networks]
    values += [found, mean - (deviation or 0.0), mean + (deviation or 0.0)]
    lower, upper = padded_range(values, measure.smallest_extent(values))
    # Dots that would cover each other are stacked; the height follows the highest stack.
    stacks: dict[int, int] = {}
    placed = []
    for network in compared.networks:
        share = (network.test_score - lower) / (upper - lower)
        column = round(share * (width - 40) / 12)
        placed.append((network, stacks.get(column, 0)))
        stacks[column] = stacks.get(column, 0) + 1
    tall = max(stacks.values()) * 12
    chart = Chart(
        f"comparison-{width}",
        f"Test {measure.noun} of the network found and of random ones",
        description,
        (width, 116 + tall + 46),
        Axis(f"test {measure.noun}", lower, upper, measure.labels),
        None,
        (20, 20, 46, 20),
    )
    base = chart.bottom - 14
    _draw_mean(chart, mean, deviation, measure, base - tall - 2, base + 8)
    for network, place in placed:
        tooltip = element("title", f"{network.name}: {measure.show(network.test_score)}")
        x, y = chart.x(network.test_score), base - 12.0 * place
        chart.add(element("circle", tooltip, cx=x, cy=y, r=5, class_="other"))
    x, y = chart.x(found), 24
    chart.add(element("path", d=f"M{x:.1f} {y}V{chart.bottom}", class_="limit found"))
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
    at = chart.x(mean)
    chart.add(element("path", d=f"M{at:.1f} {top:.1f}V{bottom:.1f}", class_="mean"))
    # Kept inside the chart where the mean lies near its edge.
    x = min(max(at, chart.left + 80), chart.right - 80)
    chart.text(x, top - 8, words, "tick", "middle")
