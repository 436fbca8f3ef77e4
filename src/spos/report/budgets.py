"""The networks found for several budgets: scores over the cost that the budgets are of."""

from __future__ import annotations

from typing import Any

from spos.cost.cost import find_cost
from spos.report.chart import (
    ACCENT,
    WARM,
    Chart,
    coloured,
    cost_axis,
    dots,
    layer,
    make_chart,
    padded_range,
)
from spos.report.result import Result
from spos.report.scatter import limit_layers


def budgets_figure(result: Result) -> Chart | None:
    """One-shot and test scores of the networks over their cost; None for fewer than two."""
    cost, metric = find_cost(result.primary_cost), result.metric
    rows: list[dict[str, Any]] = [
        {
            "x": one.winner.costs[cost.name],
            "y": score,
            "kind": series,
            "budget": f"at most {cost.format(one.maximum[cost.name])}",
            "architecture": str(one.winner.architecture),
            "score": f"{series} {metric.show(score)}",
            cost.label: cost.format(one.winner.costs[cost.name]),
        }
        for one in result.budgets
        for series, score in (
            ("one-shot", result.one_shot_metric(one.winner)),
            ("test", one.test_score),
        )
        if score is not None
    ]
    if len(result.budgets) < 2 or not rows:
        return None
    names = [name for name in ("one-shot", "test") if any(row["kind"] == name for row in rows)]
    colours = coloured("kind", dict(zip(names, (ACCENT, WARM), strict=False)))
    limits = [one.maximum[cost.name] for one in result.budgets]
    spent = [one.winner.costs[cost.name] for one in result.budgets]
    x = cost_axis(cost.name, *padded_range([*limits, *spent], limits[-1] * 0.04))
    return make_chart(
        "budgets",
        f"{' and '.join(names)} {metric.noun} of the network found for each budget",
        "; ".join(f"{row['budget']}: {row['score']}" for row in rows),
        x,
        metric.axis(metric.noun, [row["y"] for row in rows], 0.08),
        [
            layer("line", rows, encoding=colours),
            dots(rows, 80, encoding=colours),
            *limit_layers(x, [(limit, "") for limit in limits]),
        ],
        height=280,
    )
