"""The result of a run as tables for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from spos.cost.cost import find_cost
from spos.report import words
from spos.report.measure import measure

Row = Mapping[str, Any]


def result_tables(result: Row) -> list[RenderableType]:
    """What a run found, to be printed one after the other; stages not done are left out.

    Args:
        result: what ``result.json`` holds.

    Example:
        >>> from rich.console import Console
        >>> for table in result_tables({"spos": "0.1.0"}):
        ...     Console().print(table)
        The search has not finished; there is no network yet.
    """
    parts: list[RenderableType] = [_text(words.headline(result))]
    if result.get("winner") or result.get("network"):
        parts.append(_winner(result))
    if result.get("budgets"):
        parts.append(_budgets(result))
    if result.get("front"):
        parts.append(_front(result))
    if result.get("top"):
        parts.append(_top(result))
    judged = words.verdict(result)
    if judged is not None:
        parts += [_comparison(result), _text(judged.words)]
    if result.get("seconds"):
        parts.append(_times(result["seconds"]))
    # An empty line between two parts.
    return [line for part in parts for line in (part, Text(""))][:-1]


def _text(value: object) -> Text:
    # Names are the user's: brackets in them are no markup, and nothing of them may be cut off.
    return Text(str(value), overflow="fold")


def _pairs(title: str) -> Table:
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=None,
        show_header=False,
        padding=(0, 2, 0, 0),
        pad_edge=False,
    )
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    return table


def _columns(title: str, rows: Sequence[Row], *names: str) -> Table:
    longest = max(len(str(row.get("architecture", ""))) for row in rows)
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        # The 20 blocks of the paper's space fit into 80 columns only with single spaces.
        padding=(0, 1 if longest < 30 else 0, 0, 0),
        show_edge=False,
        pad_edge=False,
    )
    for name in names:
        text = name in ("architecture", "network", "origin")
        # Only architectures give way where a line is too long: they fold and lose nothing.
        table.add_column(
            name,
            justify="left" if text else "right",
            overflow="fold",
            no_wrap=name not in ("architecture", "network"),
        )
    return table


def _winner(result: Row) -> Table:
    winner = result.get("winner") or result["network"]
    retrained = result.get("retrain") or {}
    by = measure(result)
    table = _pairs("Network found" if result.get("winner") else "Network trained")
    rows = [
        ("architecture", winner.get("architecture", winner.get("name", ""))),
        ("notation", winner.get("notation", "–")),
        (f"test {by.name}", by.show(retrained.get("test_top1"))),
        (f"one-shot {by.name}", by.show(winner.get("one_shot_top1"))),
        *(
            (cost.title, "–" if (value := winner.get(cost.name)) is None else cost.exact(value))
            for cost in map(find_cost, words.shown_costs(result))
        ),
        ("limit", words.limits(result.get("constraint")) or "none"),
    ]
    for name, value in rows:
        if value != "–":
            table.add_row(name, _text(value))
    return table


def _top(result: Row) -> Table:
    headings = ("", "architecture", "one-shot", *_headings(result), "iter", "origin")
    table = _columns("Best candidates", result["top"], *headings)
    for rank, row in enumerate(result["top"], 1):
        table.add_row(
            str(rank),
            _text(row.get("architecture", "")),
            measure(result).show(row.get("one_shot_top1")),
            *_costs(result, row),
            str(row.get("iteration", "")),
            _text(row.get("origin", "")),
        )
    return table


def _costs(result: Row, row: Row) -> list[str]:
    return [words.cost(cost, row.get(cost)) for cost in words.shown_costs(result)]


def _headings(result: Row) -> list[str]:
    return [find_cost(cost).heading for cost in words.shown_costs(result)]


def _budgets(result: Row) -> Table:
    rows, cost, by = result["budgets"], words.searched_cost(result), measure(result)
    headings = ("at most", "architecture", "test", "one-shot", *_headings(result))
    table = _columns("One network for each budget", rows, *headings)
    for row in rows:
        table.add_row(
            words.cost(cost, (row.get("maximum") or {}).get(cost)),
            _text(row.get("architecture", "")),
            by.show(row.get("test_top1")),
            by.show(row.get("one_shot_top1")),
            *_costs(result, row),
        )
    return table


def _front(result: Row) -> Table:
    rows = result["front"]
    headings = ("architecture", "one-shot", *_headings(result))
    table = _columns("Front, from the cheapest", rows, *headings)
    for row in rows:
        table.add_row(
            _text(row.get("architecture", "")),
            measure(result).show(row.get("one_shot_top1")),
            *_costs(result, row),
        )
    return table


def _comparison(result: Row) -> Table:
    comparison = result["comparison"]
    winner = result.get("winner") or {}
    found = {**winner, "name": "found", "test_top1": comparison.get("found_test_top1")}
    rows = [found, *comparison["networks"]]
    headings = ("network", "architecture", "test", "one-shot", *_headings(result))
    table = _columns("Against random networks", rows, *headings)
    for row in rows:
        table.add_row(
            _text(row.get("name", "")),
            _text(row.get("architecture", "")),
            measure(result).show(row.get("test_top1")),
            measure(result).show(row.get("one_shot_top1")),
            *_costs(result, row),
            style="bold" if row is found else None,
        )
    return table


def _times(seconds: Row) -> Table:
    table = _pairs("Wall time")
    for stage, spent in seconds.items():
        table.add_row(_text(words.STAGES.get(stage, stage)), words.duration(spent))
    if len(seconds) > 1:
        table.add_row("Total", words.duration(sum(seconds.values())))
    return table
