"""The page of a validation: measured over predicted."""

from __future__ import annotations

from typing import Any

from spos.cost.cost import format_cost
from spos.cost.latency.validate import ValidatedTable
from spos.report.chart import (
    ACCENT,
    SOFT,
    WARM,
    Chart,
    coloured,
    cost_axis,
    dots,
    layer,
    make_chart,
    padded_range,
)
from spos.report.template import fill_template

#: Headings of a table of agreements.
HEADINGS = ("", "networks", "error", "bias", "Spearman", "Kendall")


#: What a validation compares: its predictions before and after the correction, and the noise.
COMPARED = (
    "the table as it stands",
    "corrected, by a fit to the others",
    "half the rounds against the others",
)


def agreement_rows(result: ValidatedTable) -> list[list[str]]:
    """The predictions that a validation compares, in the order of the headings."""
    rows = []
    for name, one in zip(COMPARED, (result.before, result.after, result.noise), strict=True):
        ranks = ("-" if rank is None else f"{rank:.3f}" for rank in (one.spearman, one.kendall))
        rows.append([name, str(one.networks), f"{one.error:.1%}", f"{one.bias:+.1%}", *ranks])
    return rows


def validation_page(result: ValidatedTable) -> str:
    """The page of a validation, which needs no other file."""
    named = " ".join(filter(None, (result.table.space, result.table.preset)))
    return fill_template(
        "latency.html.j2",
        named=f"{named}  {result.table.runtime}".strip(),
        chart=_chart(result),
        headings=HEADINGS,
        rows=agreement_rows(result),
        fit=result.fit,
    )


def _chart(result: ValidatedTable) -> Chart:
    colours = dict(zip(COMPARED, (WARM, ACCENT), strict=False))
    rows: list[dict[str, Any]] = [
        {
            "x": predicted,
            "y": network.measured,
            "kind": kind,
            "architecture": network.architecture,
            "predicted": format_cost("latency", predicted),
            "measured": format_cost("latency", network.measured),
        }
        for network in result.networks
        for kind, predicted in zip(colours, (network.predicted, network.fitted), strict=True)
    ]
    values = [row[name] for row in rows for name in ("x", "y")]
    lower, upper = padded_range(values, max(values) * 0.02)
    ends = [{"x": value, "y": value} for value in (lower, upper)]
    return make_chart(
        "latency",
        "Measured over predicted latency",
        f"{len(result.networks)} networks as predicted by the table as it stands, and corrected "
        "by a fit to the other networks.",
        cost_axis("latency", lower, upper, "predicted"),
        cost_axis("latency", lower, upper, "measured"),
        layer("line", ends, color=SOFT, strokeDash=[5, 4]),
        dots(rows, 60, opacity=0.8, encoding=coloured("kind", colours)),
        height=480,
    )
