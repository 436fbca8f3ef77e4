"""Tables of architectures, for the page and for the terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from spos.cost.cost import find_cost, format_cost
from spos.report import words
from spos.report.result import ComparedNetwork, Result
from spos.search.candidate import Candidate


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Args:
        heading (str): heading on the page.
        cells (tuple[str, ...]): a cell for each row.
        brief (str | None): heading on the terminal; None leaves the column out there.
        text (bool): whether the cells are words rather than numbers.
    """

    heading: str
    cells: tuple[str, ...]
    brief: str | None
    text: bool = False


@dataclass(frozen=True)
class ArchitectureTable:
    """A table with an architecture in each row.

    Args:
        leading (tuple[Column, ...]): what tells the rows apart.
        values (tuple[Column, ...]): scores, costs, and what else there is.
        architectures (tuple[str, ...]): an architecture for each row.
        best (int): row to emphasise, from 0; -1 for none.
    """

    leading: tuple[Column, ...]
    values: tuple[Column, ...]
    architectures: tuple[str, ...]
    best: int


#: Characters of an architecture from which a table on a terminal has no standard errors.
LONG = 30
#: Characters of a line on a terminal, beyond which the columns of such a table are narrow.
TERMINAL = 80
#: Characters of a line of a heading on a terminal, by whether columns are narrow.
HEADING = {False: 14, True: 9}
#: Stands for the same heading on the terminal as on the page.
SAME = "="
#: What a row is about.
Scored = Candidate | ComparedNetwork


def top_table(result: Result) -> ArchitectureTable | None:
    """The best candidates, best first."""
    top = result.top
    rank = column("rank", range(1, len(top) + 1), "")
    iteration = column("iteration", (one.iteration for one in top), "iter")
    origin = column("origin", (one.origin for one in top), text=True)
    return _table(result, top, leading=[rank], after=[iteration, origin])


def finalists_table(result: Result) -> ArchitectureTable | None:
    """The finalists, best first: those that reached the last rung before the others."""
    ranked = sorted(
        result.finalists, key=lambda one: (len(one.rungs), one.rungs[-1].score), reverse=True
    )
    rungs = []
    for place, rung in enumerate(ranked[0].rungs if ranked else ()):
        known = (one.rungs[place].score if place < len(one.rungs) else None for one in ranked)
        steps = f"{rung.steps:,} steps"
        rungs.append(column(f"after {steps}", map(result.one_shot.show, known), steps))
    return _table(result, ranked, before=rungs, best=0, brief=False)


def front_table(result: Result) -> ArchitectureTable | None:
    """The front, cheapest first."""
    return _table(result, result.front)


def budgets_table(result: Result) -> ArchitectureTable | None:
    """The network found for each budget, from the smallest."""
    cost, rows = result.primary_cost, result.budgets
    limit = column("at most", (format_cost(cost, row.maximum[cost]) for row in rows))
    tested = _tested(result, [(row.winner, row.test_score) for row in rows])
    new = column("new", (row.evaluated for row in rows), None)
    found, last = [row.winner for row in rows], len(rows) - 1
    return _table(result, found, leading=[limit], before=tested, after=[new], best=last)


def comparison_table(result: Result) -> ArchitectureTable | None:
    """The winner and the random networks, by their test scores; None without a comparison."""
    winner, compared = result.winner, result.comparison
    if winner is None or compared is None:
        return None
    rows: list[tuple[str, Scored, float]] = [
        *((one.name, one, one.test_score) for _, one in compared.others),
        ("found", winner, compared.found_test_score),
    ]
    names, networks, scores = zip(*sorted(rows, key=lambda row: -row[2]), strict=True)
    named = column("network", names, text=True)
    tested = _tested(result, [*zip(networks, scores, strict=True)])
    best = names.index("found")
    return _table(result, networks, leading=[named], before=tested, best=best)


def _tested(result: Result, rows: Sequence[tuple[Scored, float | None]]) -> list[Column]:
    # The 20 blocks of the paper's space leave no room for errors on a terminal.
    short = all(len(str(network.architecture)) < LONG for network, _ in rows)
    return tested_columns(result, [score for _, score in rows], short=short)


def tested_columns(result: Result, scores: Sequence[float | None], *, short: bool) -> list[Column]:
    """Scores on the test images and, where they are known, their standard errors.

    Args:
        result (Result): result of the run.
        scores (Sequence[float | None]): score of each row.
        short (bool): whether a terminal has room for the errors.
    """
    columns = [column("test", map(result.metric.show, scores))]
    errors = [result.metric.standard_error(score, result.data.test) for score in scores]
    if all(error is not None for error in errors):
        cells = (f"± {100 * (error or 0.0):.1f}" for error in errors)
        columns.append(column("standard error", cells, "s.e." if short else None))
    return columns


def _table(
    result: Result,
    scored: Sequence[Scored],
    *,
    leading: Sequence[Column] = (),
    before: Sequence[Column] = (),
    after: Sequence[Column] = (),
    best: int | None = None,
    brief: bool = True,
) -> ArchitectureTable | None:
    """A table of scores and costs, None without rows; with ``brief`` false the terminal shows no
    costs. The winner is emphasised, or the row ``best``.
    """
    if not scored:
        return None
    architectures = [str(one.architecture) for one in scored]
    if best is None:
        found = str(result.winner.architecture) if result.winner else ""
        best = architectures.index(found) if found in architectures else -1
    name = f"one-shot {result.one_shot.name}" if result.one_shot != result.metric else "one-shot"
    values = [*before, column(name, (result.one_shot.show(one.score) for one in scored))]
    known = [getattr(one, "metric_score", None) for one in scored]
    if all(score is not None for score in known):
        values.append(column(f"one-shot {result.metric.name}", map(result.metric.show, known)))
    for cost in map(find_cost, words.shown_costs(result)):
        cells = (cost.format(one.costs[cost.name]) for one in scored)
        values.append(column(cost.label, cells, cost.heading if brief else None))
    return ArchitectureTable(tuple(leading), (*values, *after), tuple(architectures), best)


def column(
    heading: str, cells: Iterable[object], brief: str | None = SAME, *, text: bool = False
) -> Column:
    """A column; its heading on the terminal is the same unless another one is given."""
    return Column(heading, tuple(map(str, cells)), heading if brief == SAME else brief, text)


def spaced(parts: Iterable[RenderableType]) -> list[RenderableType]:
    """Put an empty line between two parts."""
    return [line for part in parts for line in (part, Text(""))][:-1]


def plain_text(value: str) -> Text:
    """A text of which nothing is markup."""
    # Names are the user's: brackets in them are not markup, and they are never cut off.
    return Text(value, overflow="fold")


def _titled(title: str, **options: Any) -> Table:
    style: dict[str, Any] = {"title_justify": "left", "title_style": "bold", "pad_edge": False}
    return Table(title=title, **style, **options)


def pairs_table(title: str, rows: Iterable[tuple[str, str]]) -> Table:
    """A table of names and values."""
    table = _titled(title, box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, value in rows:
        table.add_row(plain_text(name), plain_text(value))
    return table


def _wide(columns: Sequence[Column]) -> int:
    """Characters of a line with two spaces between the columns."""
    headings = (textwrap.wrap(one.brief or "", HEADING[False]) for one in columns)
    cells = (one.cells for one in columns)
    lines = ((*heading, *cell) for heading, cell in zip(headings, cells, strict=True))
    return sum(2 + max(map(len, line), default=0) for line in lines) - 2


def architectures_table(title: str, content: ArchitectureTable) -> Table:
    """A table with an architecture in each row."""
    # Only architectures and names give way where a line is too long: they fold.
    architecture = column("architecture", content.architectures, text=True)
    shown = [one for one in content.values if one.brief is not None]
    columns = [*content.leading, architecture, *shown]
    # A dozen choices fit into a line only with single spaces and narrow headings.
    narrow = _wide(columns) > TERMINAL
    padding, line = (0, 0 if narrow else 1, 0, 0), HEADING[narrow]
    table = _titled(title, box=box.SIMPLE_HEAD, padding=padding, show_edge=False)
    for one in columns:
        table.add_column(
            textwrap.fill(one.brief or "", line, break_long_words=False),
            justify="left" if one.text else "right",
            overflow="fold",
            no_wrap=not one.text or one in shown,
        )
    for place, row in enumerate(zip(*(one.cells for one in columns), strict=True)):
        table.add_row(*map(plain_text, row), style="bold" if place == content.best else None)
    return table
