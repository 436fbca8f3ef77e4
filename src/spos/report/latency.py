"""The page of a validation: measured over predicted."""

from __future__ import annotations

from markupsafe import Markup

from spos.cost.cost import format_cost
from spos.cost.latency.agreement import Agreement
from spos.cost.latency.validate import Validation
from spos.report.chart import Axis, Chart, cost_labels, element, spread

STYLE = """
:root { color-scheme: light dark; --paper: #fdfdfc; --ink: #1c1d20; --soft: #5d6169;
  --hair: #dddcd6; --accent: oklch(0.50 0.16 262); --warm: oklch(0.58 0.15 45); }
@media (prefers-color-scheme: dark) { :root { --paper: #15161a; --ink: #eceae5; --soft: #a2a5ad;
  --hair: #34373e; --accent: oklch(0.74 0.12 262); --warm: oklch(0.76 0.13 60); } }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, sans-serif; font-variant-numeric: tabular-nums; }
main { max-width: 760px; margin: 0 auto; padding: 40px 24px; }
h1 { font-size: 25px; line-height: 1.25; } p, td, th { font-size: 14px; }
p { color: var(--soft); } table { border-collapse: collapse; }
td, th { padding: 5px 14px 5px 0; text-align: right; border-bottom: 1px solid var(--hair); }
td:first-child, th:first-child { text-align: left; }
.chart { display: block; width: 100%; height: auto; overflow: visible; margin-top: 20px; }
.chart text { font-size: 13px; fill: var(--ink); }
.chart .tick { fill: var(--soft); font-size: 12px; } .chart .label { fill: var(--soft); }
.grid { stroke: var(--hair); } .axis { stroke: var(--soft); }
.line { fill: none; stroke: var(--soft); stroke-dasharray: 5 4; }
.before { fill: none; stroke: var(--warm); stroke-width: 1.5; } .after { fill: var(--accent); }
.chart .before-text { fill: var(--warm); } .chart .after-text { fill: var(--accent); }
"""
SIZE = (712, 520)


def agreement_rows(result: Validation) -> list[tuple[str, Agreement]]:
    """What a validation compares, in words."""
    return [
        ("the table as it stands", result.before),
        ("with a fit to the others", result.after),
        ("half the rounds against the others", result.noise),
    ]


def agreement_cells(compared: Agreement) -> list[str]:
    """An agreement for a table: networks, error, bias, both rank correlations."""
    return [
        str(compared.networks),
        f"{compared.error:.1%}",
        f"{compared.bias:+.1%}",
        *("-" if rank is None else f"{rank:.3f}" for rank in (compared.spearman, compared.kendall)),
    ]


HEADINGS = ("", "networks", "error", "bias", "Spearman", "Kendall")


def validation_page(result: Validation) -> str:
    """A page of its own, with nothing to load."""
    title = "Measured and predicted latency"
    head = element("tr", *(element("th", heading) for heading in HEADINGS))
    rows = [
        element("tr", *(element("td", cell) for cell in (name, *agreement_cells(compared))))
        for name, compared in agreement_rows(result)
    ]
    named = " ".join(filter(None, (result.table.space, result.table.preset)))
    body = element(
        "main",
        element("h1", title),
        element("p", f"{named}  {result.table.runtime}".strip()),
        _chart(result).svg(),
        element("table", head, *rows),
        element(
            "p",
            f"Fit on {result.fit.networks} networks: "
            f"{format_cost('latency', result.fit.intercept)} once and "
            f"{format_cost('latency', result.fit.boundary)} for each part that computes something. "
            "Each network is judged by a fit to all others. Two halves of the rounds differ by the "
            "noise of the machine, which no prediction is expected to beat.",
        ),
    )
    # In a style element, text is not escaped, and must not be.
    style = Markup("<style>{}</style>").format(Markup(STYLE))
    viewport = Markup('<meta name="viewport" content="width=device-width">')
    return (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8">{viewport}'
        f"<title>{title}</title>{style}{body}</html>\n"
    )


def _chart(result: Validation) -> Chart:
    values = [
        float(value)
        for network in result.networks
        for value in (network.measured, network.predicted, network.fitted)
    ]
    lower, upper = spread(values, max(values) * 0.02)
    labels = cost_labels("latency")
    chart = Chart(
        "latency",
        "Measured over predicted latency",
        f"{len(result.networks)} networks as predicted by the table as it stands, and with a fit "
        "to the other networks.",
        SIZE,
        Axis("predicted", lower, upper, labels),
        Axis("measured", lower, upper, labels),
        (58, 14, 44, 62),
    )
    chart.line([(lower, lower), (upper, upper)], "diagonal")
    for network in result.networks:
        told = f"{network.architecture}: measured {format_cost('latency', network.measured)}"
        chart.circle((network.predicted, network.measured), 4, "before", told)
    for network in result.networks:
        told = f"{network.architecture}: measured {format_cost('latency', network.measured)}"
        chart.circle((network.fitted, network.measured), 4, "after", told)
    chart.text(chart.left, 38, "○ the table as it stands", "before-text")
    chart.text(chart.left + 190, 38, "● with a fit to the other networks", "after-text")
    return chart
