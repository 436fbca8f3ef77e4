"""The result of a run as tables for the terminal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from spos.cost.cost import find_cost
from spos.report import words
from spos.report.architectures import (
    LONG,
    ArchitectureTable,
    budgets_table,
    column,
    comparison_table,
    finalists_table,
    front_table,
    top_table,
)
from spos.report.result import Result


def result_tables(result: Result) -> list[RenderableType]:
    """What a run found, to be printed one after the other; stages not done are left out.

    Args:
        result (Result): result of a run.
    """
    parts: list[RenderableType] = [_text(words.headline(result))]
    if result.winner or result.network:
        parts.append(_found(result))
    short = f"Finalists, by validation {result.one_shot.noun} after short trainings"
    for title, table in (
        ("One network for each budget", budgets_table(result)),
        ("Front, from the cheapest", front_table(result)),
        ("Best candidates", top_table(result)),
        (short, finalists_table(result)),
        ("Against random networks", comparison_table(result)),
    ):
        parts += [architectures_table(title, table)] if table else []
    if (judged := words.verdict(result)) and result.winner:
        parts.append(_text(" ".join(filter(None, (judged.words, words.sampling_error(result))))))
    if told := words.how_to_read(result):
        parts.append(_text("\n".join(told)))
    if result.seconds:
        parts.append(pairs_table("Wall time", words.wall_times(result.seconds)))
    return spaced(parts)


def spaced(parts: Iterable[RenderableType]) -> list[RenderableType]:
    """Put an empty line between two parts."""
    return [line for part in parts for line in (part, Text(""))][:-1]


def _text(value: str) -> Text:
    # Names are the user's: brackets in them are not markup, and they are never cut off.
    return Text(value, overflow="fold")


def _titled(title: str, **options: Any) -> Table:
    style: dict[str, Any] = {"title_justify": "left", "title_style": "bold", "pad_edge": False}
    return Table(title=title, **style, **options)


def pairs_table(title: str, rows: Iterable[tuple[str, str]]) -> Table:
    """A table of names and values."""
    table = _titled(title, box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, value in rows:
        table.add_row(_text(name), _text(value))
    return table


def architectures_table(title: str, content: ArchitectureTable) -> Table:
    """A table with an architecture in each row."""
    # The 20 blocks of the paper's space fit into 80 columns only with single spaces.
    padding = (0, 1 if max(map(len, content.architectures)) < LONG else 0, 0, 0)
    table = _titled(title, box=box.SIMPLE_HEAD, padding=padding, show_edge=False)
    # Only architectures and names give way where a line is too long: they fold.
    architecture = column("architecture", content.architectures, text=True)
    shown = [one for one in content.values if one.brief is not None]
    columns = [*content.leading, architecture, *shown]
    for one in columns:
        table.add_column(
            one.brief or "",
            justify="left" if one.text else "right",
            overflow="fold",
            no_wrap=not one.text or one in shown,
        )
    for place, row in enumerate(zip(*(one.cells for one in columns), strict=True)):
        table.add_row(*map(_text, row), style="bold" if place == content.best else None)
    return table


def _found(result: Result) -> Table:
    metric, winner, network = result.metric, result.winner, result.winner or result.network
    assert network is not None
    rows = []
    if winner:
        rows += [("architecture", str(winner.architecture))]
        rows += [("notation", winner.notation)] if winner.notation else []
    elif result.network:
        rows += [("architecture", result.network.name)]
        rows += [("width", f"{result.network.width:g}")] if result.network.width != 1 else []
    if result.test_score is not None:
        rows.append((f"test {metric.name}", metric.show(result.test_score)))
    if winner:
        noun, score = result.show_one_shot(winner)
        rows.append((f"one-shot {metric.name if noun == metric.noun else noun}", score))
    for cost in map(find_cost, words.shown_costs(result)):
        rows.append((cost.title, cost.exact(network.costs[cost.name])))
    rows.append(("limit", words.limits(result.constraint) or "none"))
    return pairs_table("Network found" if winner else "Network trained", rows)
