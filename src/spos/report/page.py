"""The report of a run: one HTML page that needs nothing else."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from markupsafe import Markup

from spos._util.files import write_atomically
from spos.cost.cost import find_cost
from spos.report import words
from spos.report.budgets import budgets_figure
from spos.report.curves import progress_figure, training_figures
from spos.report.dots import comparison_figure
from spos.report.facts import facts
from spos.report.measure import measure
from spos.report.network import Drawing, draw
from spos.report.scatter import search_figure, shown
from spos.report.template import fill_template
from spos.report.theta import choice_figures, entropy_figure, legend

#: Every wide chart is drawn twice: text that is legible in one is not in the other.
WIDE, NARROW = 860, 380
#: The algorithms that train the choice together with the weights.
LEARNED = {"fbnet": "FBNet", "darts": "DARTS", "proxylessnas": "ProxylessNAS"}

Row = Mapping[str, Any]


def render(result: Row, candidates: Sequence[Row], metrics: Sequence[Row]) -> str:
    """The page of a run, finished or not; the same input gives the same page.

    Args:
        result: what ``result.json`` holds.
        candidates: of the search, each with architecture, accuracy and costs.
        metrics: the lines of ``metrics.jsonl``.

    Example:
        >>> "no network yet" in render({"spos": "0.1.0"}, [], [])
        True
    """
    return fill_template(
        "page.html.j2",
        **_context(result, candidates, metrics),
    )


def write_report(
    path: Path, result: Row, candidates: Sequence[Row], metrics: Sequence[Row]
) -> None:
    """Write the page of a run, whole or not at all.

    Args:
        path: the file to write; its folder must exist.
        result: what ``result.json`` holds.
        candidates: of the search.
        metrics: the lines of ``metrics.jsonl``.

    Raises:
        OSError: the folder does not exist or is not writable.
    """
    write_atomically(path, render(result, candidates, metrics))


def _context(result: Row, candidates: Sequence[Row], metrics: Sequence[Row]) -> dict[str, Any]:
    judged = words.verdict(result)
    winner = result.get("winner")
    return {
        "headline": words.headline(result),
        "version": result.get("spos", ""),
        "origin": [
            part
            for part in (
                (result.get("space") or {}).get("name"),
                (result.get("space") or {}).get("preset"),
                (result.get("data") or {}).get("source"),
            )
            if part
        ],
        "lead": " ".join(filter(None, (_lead(result, candidates), judged.short if judged else ""))),
        "figures": _key_figures(result),
        # One network alone is no picture of a search.
        "search": _both(search_figure, result, candidates)
        if winner and (len(candidates) > 1 or not _learned(result))
        else [],
        "more_costs": [
            (find_cost(cost).label, drawn)
            for cost in words.front_costs(result)
            if cost != words.searched_cost(result)
            and (drawn := _both(partial(search_figure, cost=cost), result, candidates))
        ],
        "search_note": _search_note(result, candidates),
        "budgets": result.get("budgets") or [],
        "budget_cost": words.searched_cost(result),
        "budgets_figure": _both(budgets_figure, result),
        "front": result.get("front") or [],
        "front_costs": " and ".join(find_cost(cost).label for cost in words.front_costs(result)),
        "measure": measure(result),
        "progress": _both(progress_figure, result, candidates),
        "entropy": _both(entropy_figure, result, metrics),
        "choices": choice_figures(result, metrics),
        "options": legend(result),
        "winner": winner,
        "drawing": _drawing(result) if winner else None,
        "top": result.get("top") or [],
        "costs": [find_cost(cost) for cost in words.shown_costs(result)],
        "comparison": result.get("comparison"),
        "networks": _networks(result),
        "verdict": judged,
        "sampling_error": words.sampling_error(result),
        "comparison_figure": _both(comparison_figure, result["comparison"], judged)
        if judged
        else [],
        "curves": [
            (title, note, drawn)
            for title, note, stage in (
                (
                    "Supernet",
                    "Every step trains random paths: these are the curves of many networks.",
                    "train",
                ),
                (
                    "Search",
                    "The weights of all networks, mixed or sampled as the algorithm has it.",
                    "search",
                ),
                ("Retraining of the network found, from scratch", "", "retrain"),
            )
            if (drawn := training_figures(metrics, stage))
        ],
        "facts": facts(result),
    }


def _both(figure: Any, *arguments: Any) -> list[Markup]:
    drawn = [figure(*arguments, width) for width in (WIDE, NARROW)]
    return [svg for svg in drawn if svg is not None]


def _lead(result: Row, candidates: Sequence[Row]) -> str:
    space, search = result.get("space") or {}, result.get("search")
    if not search:
        return ""
    count = len(candidates) or search.get("evaluated") or 0
    population = f" of {words.size(str(space['size']))}" if space.get("size") else ""
    if _learned(result):
        return (
            f"{LEARNED[search['algorithm']]} trained the weights and the choice{population} "
            f"networks together; {count:,} {'was' if count == 1 else 'were'} scored in the end."
        )
    how = {
        "evolution": "An evolutionary search",
        "random": "A random search",
        "nsga2": "A search by NSGA-II",
    }
    label = (result.get("train") or {}).get("label")
    trained = f"trained once by {label}" if label else "trained once"
    text = (
        f"{how.get(search.get('algorithm', ''), 'A search')} scored {count:,}{population} networks "
        f"with the weights of one supernet, which was {trained}."
    )
    if search.get("exhausted"):
        text += " No other network satisfies the limits: the search ended early."
    return text


def _learned(result: Row) -> bool:
    return (result.get("search") or {}).get("algorithm") in LEARNED


def _key_figures(result: Row) -> list[tuple[str, str]]:
    winner, retrained = result.get("winner") or {}, result.get("retrain") or {}
    seconds = result.get("seconds") or {}
    by = measure(result)
    known = [
        (f"test {by.noun}", by.show(retrained.get("test_top1"))),
        (f"one-shot {by.noun}", by.show(winner.get("one_shot_top1"))),
        *(
            (find_cost(cost).label, words.cost(cost, winner.get(cost)))
            for cost in words.shown_costs(result)
        ),
    ]
    known = [(label, value) for label, value in known if value != "–"]
    return known + ([("wall time", words.duration(sum(seconds.values())))] if seconds else [])


def _search_note(result: Row, candidates: Sequence[Row]) -> str:
    count = len(shown(candidates, words.searched_cost(result)))
    note = f"{count:,} of {len(candidates):,} candidates shown. " if count < len(candidates) else ""
    within = words.limits(result.get("constraint"))
    return note + (
        f"The search allowed {within}." if within else "The search had no limit on cost."
    )


def _drawing(result: Row) -> Drawing:
    winner = result["winner"]
    choices = (result.get("space") or {}).get("choices") or []
    options = [option for choice in choices for option in choice["options"]]
    options += (winner.get("names") or {}).values()
    return draw(winner, list(dict.fromkeys(options)))


def _networks(result: Row) -> list[dict[str, Any]]:
    """The rows of the comparison, the best first."""
    comparison, winner = result.get("comparison"), result.get("winner") or {}
    if not comparison:
        return []
    rows = [{**network, "found": False} for network in comparison.get("networks") or []]
    rows.append(
        {
            **winner,
            "name": "found",
            "found": True,
            "test_top1": comparison.get("found_test_top1"),
        }
    )
    # Scores may be negative: a network without one is the last all the same.
    return sorted(
        rows, key=lambda row: math.inf if row.get("test_top1") is None else -row["test_top1"]
    )
