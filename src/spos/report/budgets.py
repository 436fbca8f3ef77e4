"""The networks found for several budgets: scores over the cost that the budgets are of."""

from __future__ import annotations

from markupsafe import Markup

from spos.cost.cost import find_cost
from spos.report.chart import Axis, Chart, cost_labels, padded_range
from spos.report.result import Result


def budgets_figure(result: Result, width: int) -> Markup | None:
    """One-shot and test scores of the networks over their cost; None for fewer than two."""
    if len(result.budgets) < 2:
        return None
    cost, metric = find_cost(result.primary_cost), result.metric
    rows = [
        (budget.maximum[cost.name], budget.winner.costs[cost.name], budget)
        for budget in result.budgets
    ]
    curves = []
    one_shot = [result.one_shot_metric(one.winner) for _, _, one in rows]
    scored = [
        (at, score, one)
        for (_, at, one), score in zip(rows, one_shot, strict=True)
        if score is not None
    ]
    if scored:
        curves.append(("one-shot", "first", scored))
    tested = [(at, one.test_score, one) for _, at, one in rows if one.test_score is not None]
    if tested:
        curves.append(("test", "second", tested))
    scores = [score for _, _, points in curves for _, score, _ in points]
    if not scores:
        return None
    names, largest = " and ".join(name for name, _, _ in curves), rows[-1][0]
    left, right = padded_range([value for row in rows for value in row[:2]], largest * 0.04)
    chart = Chart(
        f"budgets-{width}",
        f"{names} {metric.noun} of the network found for each budget",
        "; ".join(
            f"at most {cost.format(limit)}: one-shot {metric.show(score)}"
            + (f", test {metric.show(one.test_score)}" if tested else "")
            for (limit, _, one), score in zip(rows, one_shot, strict=True)
        ),
        (width, 300),
        Axis(cost.title, left, right, cost_labels(cost.name)),
        metric.axis(metric.noun, scores, 0.08),
        (34, 92, 46, 52),
    )
    for limit, _, _ in rows:
        chart.vertical(limit, "limit", chart.top, chart.bottom)
    for name, class_, points in curves:
        chart.line(sorted((at, score) for at, score, _ in points), class_)
        for at, score, one in points:
            tooltip = (
                f"{one.winner.architecture}\n{name} {metric.show(score)}, "
                f"{cost.format(at)} of at most {cost.format(one.maximum[cost.name])}"
            )
            chart.circle((at, score), 4.5, f"point {class_}", tooltip)
    chart.label_ends(
        *(
            (max(points, key=lambda p: p[:2])[1], name, class_)
            for name, class_, points in curves[::-1]
        )
    )
    return chart.svg()
