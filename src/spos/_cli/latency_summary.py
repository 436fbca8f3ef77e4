"""Latency tables and validations for the terminal."""

from __future__ import annotations

from functools import partial

from rich.table import Column, Table

from spos.cost import CostTable
from spos.cost.cost import format_cost
from spos.cost.latency.record import PartKey, PartLatency
from spos.cost.latency.table import LatencyTable
from spos.cost.latency.validate import ValidatedTable
from spos.nn.supernet import Supernet
from spos.report.latency import HEADINGS, agreement_rows

_time = partial(format_cost, "latency")
#: Parts with the largest spreads that are shown.
SHOWN_PARTS = 3


def summary_table(table: LatencyTable, supernet: Supernet) -> Table:
    """The fastest and slowest options of each stage, and the range over the space."""
    named = " ".join(filter(None, (table.space, table.preset)))
    words = (Column(heading, overflow="fold") for heading in ("stage", "input"))
    numbers = (
        Column(heading, justify="right", overflow="fold")
        for heading in ("fastest", "", "slowest", "", "largest spread")
    )
    shown = Table(
        *words, *numbers, title=f"latency {named}".strip(), caption=_caption(table, supernet)
    )
    groups: dict[tuple[str, str], list[tuple[PartKey, PartLatency]]] = {}
    for key, found in table.parts.items():
        groups.setdefault((key.stage, key.input), []).append((key, found))
    for (stage, shapes), group in groups.items():
        ends = [choose(group, key=lambda g: g[1].median) for choose in (min, max)]
        fastest, slowest = ((" ".join(key.options), _time(found.median)) for key, found in ends)
        slowest = slowest if len(group) > 1 else ("", "")
        spread = _time(max(found.spread for _, found in group))
        shown.add_row(stage, shapes, *fastest, *slowest, spread)
    return shown


def validation_table(result: ValidatedTable) -> Table:
    """How well a latency table predicts whole networks."""
    numbers = (Column(heading, justify="right") for heading in HEADINGS[1:])
    title = f"{len(result.networks)} networks  {result.table.runtime}"
    shown = Table(HEADINGS[0], *numbers, title=title)
    for row in agreement_rows(result):
        shown.add_row(*row)
    shown.caption = (
        f"correction: {_time(result.fit.intercept)} once, {_time(result.fit.boundary)} for each "
        "part that computes something"
    )
    return shown


def _caption(table: LatencyTable, supernet: Supernet) -> str:
    low, high = CostTable(supernet, counter=table.counter(supernet)).range()["latency"]
    lines = [str(table.runtime), f"the space from {_time(low)} to {_time(high)}"]
    noisy = sorted(table.parts.items(), key=lambda entry: -_share(entry[1]))[:SHOWN_PARTS]
    told = "; ".join(
        f"{' '.join((key.stage, *key.options))} {_share(found):.0%}" for key, found in noisy
    )
    return "\n".join((*lines, f"largest spreads over median: {told}"))


def _share(found: PartLatency) -> float:
    return found.spread / found.median if found.median else 0.0
