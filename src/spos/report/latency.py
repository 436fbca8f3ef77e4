"""The page of a validation: measured over predicted."""

from __future__ import annotations

from spos.cost.cost import format_cost
from spos.cost.latency.agreement import Agreement
from spos.cost.latency.validate import Validation
from spos.report.chart import Axis, Chart, cost_labels, padded_range
from spos.report.template import fill_template

#: Width and height of the chart in pixels.
SIZE = (712, 520)


def agreement_rows(result: Validation) -> list[tuple[str, Agreement]]:
    """The predictions that a validation compares, each with a name."""
    return [
        ("the table as it stands", result.before),
        ("corrected, by a fit to the others", result.after),
        ("half the rounds against the others", result.noise),
    ]


def agreement_cells(compared: Agreement) -> list[str]:
    """The cells of an agreement, in the order of the headings."""
    return [
        str(compared.networks),
        f"{compared.error:.1%}",
        f"{compared.bias:+.1%}",
        *("-" if rank is None else f"{rank:.3f}" for rank in (compared.spearman, compared.kendall)),
    ]


#: Headings of a table of agreements.
HEADINGS = ("", "networks", "error", "bias", "Spearman", "Kendall")


def validation_page(result: Validation) -> str:
    """The page of a validation, which needs no other file."""
    named = " ".join(filter(None, (result.table.space, result.table.preset)))
    return fill_template(
        "latency.html.j2",
        named=f"{named}  {result.table.runtime}".strip(),
        chart=_chart(result).svg(),
        headings=HEADINGS,
        rows=[(name, agreement_cells(compared)) for name, compared in agreement_rows(result)],
        fit=result.fit,
        intercept=format_cost("latency", result.fit.intercept),
        boundary=format_cost("latency", result.fit.boundary),
    )


def _chart(result: Validation) -> Chart:
    values = [
        float(value)
        for network in result.networks
        for value in (network.measured, network.predicted, network.fitted)
    ]
    lower, upper = padded_range(values, max(values) * 0.02)
    labels = cost_labels("latency")
    chart = Chart(
        "latency",
        "Measured over predicted latency",
        f"{len(result.networks)} networks as predicted by the table as it stands, and corrected "
        "by a fit to the other networks.",
        SIZE,
        Axis("predicted", lower, upper, labels),
        Axis("measured", lower, upper, labels),
        (58, 14, 44, 62),
    )
    chart.line([(lower, lower), (upper, upper)], "diagonal")
    for class_ in ("before", "after"):
        for network in result.networks:
            told = f"{network.architecture}: measured {format_cost('latency', network.measured)}"
            at = network.predicted if class_ == "before" else network.fitted
            chart.circle((at, network.measured), 4, class_, told)
    chart.text(chart.left, 38, "○ the table as it stands", "before-text")
    chart.text(chart.left + 190, 38, "● corrected, by a fit to the others", "after-text")
    return chart
