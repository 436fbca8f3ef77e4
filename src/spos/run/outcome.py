"""What a search found, as search.json holds it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import optuna

from spos.cost import Constraint, CostModel
from spos.search import Candidate, SearchResult, SearchSettings
from spos.search.start import evaluated_by

#: The bounds of a search, and what it found within them.
Found = tuple[Constraint, SearchResult]


def search_outcome(
    found: Sequence[Found],
    table: CostModel,
    study: optuna.Study,
    settings: SearchSettings,
    seconds: float,
) -> dict[str, Any]:
    """The outcome of a search, or of one search for each of many budgets.

    Args:
        found: the constraint and the result of each search; that of the largest budget last.
        table: the costs of the architectures.
        study: of the evaluations.
        settings: of the search.
        seconds: that it took.
    """
    result = found[-1][1]
    paid = [evaluated_by(study, settings, constraint, table) for constraint, _ in found]
    outcome = {
        "evaluated": sum(paid) if len(found) > 1 else result.evaluated,
        "exhausted": result.exhausted,
        "winner": _winner(result, table),
        "top": [candidate(one) for one in result.top],
        "candidates": [candidate(one) for one in result.candidates],
    }
    if result.front:
        outcome["front"] = [candidate(one) for one in result.front]
    if len(found) > 1:
        outcome["budgets"] = [
            {
                "maximum": dict(constraint.maximum),
                "winner": _winner(each, table),
                "top": [candidate(one) for one in each.top],
                "evaluated": new,
                "candidates": len(each.candidates),
                "exhausted": each.exhausted,
            }
            for (constraint, each), new in zip(found, paid, strict=True)
        ]
    return {**outcome, "seconds": seconds}


def candidate(one: Candidate) -> dict[str, Any]:
    """A candidate of a search with its score and its costs."""
    return {
        "architecture": str(one.architecture),
        "one_shot_top1": one.score,
        **one.costs,
        "iteration": one.iteration,
        "origin": one.origin,
    }


def _winner(result: SearchResult, table: CostModel) -> dict[str, Any]:
    # Of a front it is the most accurate one: the cheapest of equals comes first there.
    winner = result.top[0]
    return {
        **candidate(winner),
        "names": table.space.names(winner.architecture),
        "stages": table.stages(winner.architecture),
    }
