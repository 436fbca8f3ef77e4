"""The networks found for many budgets: each is retrained once, in the way of the winner."""

from __future__ import annotations

from typing import Any

from spos.run.context import Context
from spos.run.fit import retrain


def retrainings(found: dict[str, Any]) -> dict[str, str]:
    """The trainings of the networks that a search found for its budgets.

    Args:
        found: the outcome of the search.

    Returns:
        Name of the training by architecture: ``retrain`` for the winner under the largest budget,
        and ``retrain-1``, ``retrain-2`` and so on from the smallest budget. An architecture that
        wins under several budgets is trained once.

    Example:
        >>> wins = [{"winner": {"architecture": text}} for text in ("0,1", "0,1", "2,3", "3,3")]
        >>> retrainings({"winner": {"architecture": "3,3"}, "budgets": wins})
        {'3,3': 'retrain', '0,1': 'retrain-1', '2,3': 'retrain-3'}
    """
    stages = {found["winner"]["architecture"]: "retrain"}
    for number, budget in enumerate(found.get("budgets", ()), 1):
        stages.setdefault(budget["winner"]["architecture"], f"retrain-{number}")
    return stages


def retrain_budgets(context: Context, found: dict[str, Any]) -> None:
    """Retrain what is not retrained yet, or go on where a training stopped.

    Args:
        context: of the run.
        found: the outcome of the search.
    """
    for architecture, stage in retrainings(found).items():
        if context.finished(stage) is None:
            context.finish(stage, context.launch(retrain, architecture, stage))


def budget_rows(context: Context, found: dict[str, Any]) -> list[dict[str, Any]]:
    """The network found for each budget, from the smallest.

    Args:
        context: of the run.
        found: the outcome of the search.

    Returns:
        Rows with the bounds (``maximum``), the architecture, its costs and one-shot score, how
        many evaluations were new, and the test score (``test_top1``) where it is retrained.
    """
    stages = retrainings(found)
    rows = []
    for budget in found.get("budgets", ()):
        winner = {k: v for k, v in budget["winner"].items() if k not in ("names", "stages")}
        outcome = context.finished(stages[winner["architecture"]])
        rows.append(
            {
                "maximum": budget["maximum"],
                **winner,
                "evaluated": budget["evaluated"],
                "candidates": budget["candidates"],
                "test_top1": outcome and outcome["test_top1"],
            }
        )
    return rows


def retraining_seconds(context: Context, found: dict[str, Any] | None) -> float:
    """How long the trainings of the other budgets took, beside that of the largest."""
    others = [stage for stage in retrainings(found).values() if stage != "retrain"] if found else []
    outcomes = [outcome for stage in others if (outcome := context.finished(stage))]
    return float(sum(outcome["seconds"] for outcome in outcomes))
