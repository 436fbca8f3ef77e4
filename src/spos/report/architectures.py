"""Tables of architectures, as both the page and the terminal show them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from spos.cost.cost import find_cost, format_cost
from spos.report.result import ComparedNetwork, Comparison, Result, Winner
from spos.report.words import shown_costs
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


#: Characters of an architecture from which a table on a terminal is kept narrow.
LONG = 30
#: What a row is about.
Scored = Candidate | ComparedNetwork


def top_table(result: Result) -> ArchitectureTable:
    """The best candidates, best first."""
    top, winner = result.top, result.winner
    found = winner.architecture if winner else None
    places = (place for place, one in enumerate(top) if one.architecture == found)
    return _table(
        result,
        top,
        best=next(places, -1),
        leading=[_column("rank", range(1, len(top) + 1), "")],
        after=[
            _column("iteration", (one.iteration for one in top), "iter"),
            _column("origin", (one.origin for one in top), text=True),
        ],
    )


def finalists_table(result: Result) -> ArchitectureTable:
    """The finalists, best first: those that reached the last rung before the others."""
    ranked = sorted(
        result.finalists, key=lambda one: (len(one.rungs), one.rungs[-1].score), reverse=True
    )
    steps = [rung.steps for rung in ranked[0].rungs]
    rungs = [
        _column(
            f"after {count:,} steps",
            (
                result.one_shot.show(one.rungs[place].score) if place < len(one.rungs) else "–"
                for one in ranked
            ),
            f"{count:,} steps",
        )
        for place, count in enumerate(steps)
    ]
    return _table(result, ranked, before=rungs, brief=False)


def front_table(result: Result) -> ArchitectureTable:
    """The front, cheapest first."""
    winner = result.winner and result.winner.architecture
    places = (place for place, one in enumerate(result.front) if one.architecture == winner)
    return _table(result, result.front, best=next(places, -1))


def budgets_table(result: Result) -> ArchitectureTable:
    """The network found for each budget, from the smallest."""
    cost, rows = result.primary_cost, result.budgets
    return _table(
        result,
        [row.winner for row in rows],
        leading=[_column("at most", (format_cost(cost, row.maximum[cost]) for row in rows))],
        before=_tested(result, [(row.winner, row.test_score) for row in rows]),
        after=[Column("new", tuple(str(row.evaluated) for row in rows), brief=None)],
        best=len(rows) - 1,
    )


def all_networks(comparison: Comparison) -> list[ComparedNetwork]:
    """The random networks of a comparison, and the uniform one."""
    return [*comparison.networks, *([comparison.uniform] if comparison.uniform else [])]


def comparison_table(result: Result, winner: Winner, comparison: Comparison) -> ArchitectureTable:
    """The winner and the random networks, by their test scores."""
    rows: list[tuple[str, Scored, float]] = [
        *((network.name, network, network.test_score) for network in all_networks(comparison)),
        ("found", winner, comparison.found_test_score),
    ]
    rows.sort(key=lambda row: -row[2])
    return _table(
        result,
        [network for _, network, _ in rows],
        leading=[_column("network", (name for name, _, _ in rows), text=True)],
        before=_tested(result, [(network, score) for _, network, score in rows]),
        best=next(place for place, (_, network, _) in enumerate(rows) if network is winner),
    )


def _tested(result: Result, rows: Sequence[tuple[Scored, float | None]]) -> list[Column]:
    """Scores on the test images and, where they are known, their standard errors."""
    columns = [_column("test", (result.metric.show(score) for _, score in rows))]
    errors = [result.metric.standard_error(score, result.data.test) for _, score in rows]
    if all(error is not None for error in errors):
        cells = [f"± {100 * (error or 0.0):.1f}" for error in errors]
        # The 20 blocks of the paper's space leave no room for it on a terminal.
        short = all(len(str(network.architecture)) < LONG for network, _ in rows)
        brief = "s.e." if short else None
        columns.append(Column("standard error", tuple(cells), brief))
    return columns


def _table(
    result: Result,
    scored: Sequence[Scored],
    *,
    leading: Sequence[Column] = (),
    before: Sequence[Column] = (),
    after: Sequence[Column] = (),
    best: int = 0,
    brief: bool = True,
) -> ArchitectureTable:
    """A table of scores and costs; with ``brief`` false the terminal shows no costs."""
    name = f"one-shot {result.one_shot.name}" if result.one_shot != result.metric else "one-shot"
    one_shot = [_column(name, (result.one_shot.show(one.score) for one in scored))]
    known = [getattr(one, "metric_score", None) for one in scored]
    if known and all(score is not None for score in known):
        shown = (result.metric.show(score) for score in known)
        one_shot.append(_column(f"one-shot {result.metric.name}", shown))
    costs = (
        replace(
            _column(cost.label, (cost.format(one.costs[cost.name]) for one in scored)),
            brief=cost.heading if brief else None,
        )
        for cost in map(find_cost, shown_costs(result))
    )
    return ArchitectureTable(
        leading=tuple(leading),
        values=(*before, *one_shot, *costs, *after),
        architectures=tuple(str(one.architecture) for one in scored),
        best=best,
    )


def _column(
    heading: str, cells: Iterable[object], brief: str | None = None, *, text: bool = False
) -> Column:
    return Column(heading, tuple(map(str, cells)), heading if brief is None else brief, text)
