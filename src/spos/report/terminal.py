"""A result as tables for the terminal."""

from __future__ import annotations

from rich.console import RenderableType
from rich.table import Table

from spos.cost.cost import find_cost
from spos.report import words
from spos.report.headline import headline
from spos.report.known import known_table, known_words
from spos.report.result import Result
from spos.report.table import (
    architectures_table,
    budgets_table,
    comparison_table,
    finalists_table,
    front_table,
    pairs_table,
    plain_text,
    spaced,
    top_table,
)
from spos.report.verdict import trained_for, uncompared, verdict


def result_tables(result: Result) -> list[RenderableType]:
    """What a run found, to be printed one after the other; stages not done are left out.

    Args:
        result (Result): result of a run.
    """
    parts: list[RenderableType] = [plain_text(headline(result))]
    if result.winner or result.network:
        parts.append(_found(result))
    short = f"Finalists, by validation {result.one_shot.noun} after short trainings"
    for title, table in (
        ("One network for each budget", budgets_table(result)),
        ("Front, from the cheapest", front_table(result)),
        ("Best candidates", top_table(result)),
        (short, finalists_table(result)),
        ("Beside known networks", known_table(result)),
        (f"Against random networks{trained_for(result)}", comparison_table(result)),
    ):
        parts += [architectures_table(title, table)] if table else []
    judged = verdict(result) if result.winner else None
    compared = f"{judged.words} {words.sampling_error(result)}" if judged else uncompared(result)
    if told := f"{known_words(result)} {compared}".strip():
        parts.append(plain_text(told))
    if explained := words.how_to_read(result):
        parts.append(plain_text("\n".join(explained)))
    if result.seconds:
        times = words.stage_times(result.times, result.reused)
        parts.append(pairs_table("Time", times))
    return spaced(parts)


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
    rows.append(("limit", words.explained_limits(result.constraint) or "none"))
    return pairs_table("Network found" if winner else "Network trained", rows)
