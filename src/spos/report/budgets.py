"""The networks found for many budgets: scores over the cost that the budgets are of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from spos.cost.cost import find_cost
from spos.report.chart import Axis, Chart, cost_labels, element, finite, spread
from spos.report.measure import measure
from spos.report.words import cost as written
from spos.report.words import searched_cost

Row = Mapping[str, Any]


def budgets_figure(result: Row, width: int) -> Markup | None:
    """One-shot and test scores of the networks over their cost; None for fewer than two budgets."""
    cost, by = searched_cost(result), measure(result)
    rows = [row for row in result.get("budgets") or [] if finite(row.get(cost))]
    curves = [
        (name, key, [(row[cost], row[key]) for row in rows if finite(row.get(key))])
        for name, key in (("one-shot", "one_shot_top1"), ("test", "test_top1"))
    ]
    curves = [curve for curve in curves if curve[2]]
    if len(rows) < 2 or not curves:
        return None
    scores = [score for _, _, points in curves for _, score in points]
    limits = [row["maximum"][cost] for row in rows]
    lower, upper = spread(scores, by.least(scores), 0.08)
    left, right = spread([*limits, *(row[cost] for row in rows)], max(limits) * 0.04)
    names = " and ".join(name for name, _, _ in curves)
    chart = Chart(
        f"budgets-{width}",
        f"{names} {by.noun} of the network found for each budget",
        "; ".join(
            f"at most {written(cost, row['maximum'][cost])}: "
            + ", ".join(f"{name} {by.show(row.get(key))}" for name, key, _ in curves)
            for row in rows
        ),
        (width, 300),
        Axis(find_cost(cost).title, left, right, cost_labels(cost)),
        Axis(by.noun, lower, upper, by.labels),
        (34, 92, 46, 52),
    )
    for limit in limits:
        chart.add(
            element("path", d=f"M{chart.x(limit):.1f} {chart.top}V{chart.bottom}", class_="limit")
        )
    ends = [chart.y(max(points)[1]) for _, _, points in curves]
    # The two labels need a line of text between them, however near the curves end.
    apart = max(0.0, 17 - abs(ends[0] - ends[-1])) / 2 if len(ends) == 2 else 0.0
    for (name, key, points), class_, end in zip(curves, ("first", "second"), ends, strict=False):
        chart.line(sorted(points), class_)
        for row in rows:
            if finite(row.get(key)):
                tooltip = (
                    f"{row.get('architecture', '')}\n{name} {by.show(row[key])}, "
                    f"{written(cost, row[cost])} of at most {written(cost, row['maximum'][cost])}"
                )
                chart.circle((row[cost], row[key]), 4.5, f"point {class_}", tooltip)
        lower_one = end > min(ends) or (class_ == "first" and len(set(ends)) == 1)
        at = end + (apart if lower_one else -apart)
        chart.text(chart.right + 8, at + 4, name, f"end {class_}-text")
    return chart.svg()
