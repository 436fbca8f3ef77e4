"""The networks found for several budgets: each is retrained once, with the winner's recipe."""

from __future__ import annotations

from dataclasses import fields

from spos.report.result import BudgetWinner
from spos.run.context import Context
from spos.run.fit import retrain
from spos.run.outcome import RetrainOutcome, SearchOutcome
from spos.search import Candidate


def name_retrainings(found: SearchOutcome) -> dict[str, str]:
    """Name the retrainings of the networks that a search found for its budgets.

    Returns:
        Stage of the run by architecture: ``retrain`` for the winner under the largest budget, and
        ``retrain-1``, ``retrain-2`` and so on from the smallest budget. An architecture that wins
        under several budgets is trained once.
    """
    stages = {str(found.winner.architecture): "retrain"}
    for number, budget in enumerate(found.budgets, 1):
        stages.setdefault(str(budget.winner.architecture), f"retrain-{number}")
    return stages


def retrain_budgets(context: Context, found: SearchOutcome) -> None:
    """Retrain the networks of all budgets that are not finished yet."""
    for architecture, stage in name_retrainings(found).items():
        if not context.directory.is_finished(stage):
            context.directory.finish(context.launch(retrain, architecture, stage), stage)


def collect_budget_winners(context: Context, found: SearchOutcome) -> tuple[BudgetWinner, ...]:
    """The network found for each budget, from the smallest."""
    stages = name_retrainings(found)
    winners = []
    for budget in found.budgets:
        one = budget.winner
        retrained = context.directory.outcome(RetrainOutcome, stages[str(one.architecture)])
        winner = Candidate(**{part.name: getattr(one, part.name) for part in fields(Candidate)})
        winners.append(
            BudgetWinner(
                maximum=budget.maximum,
                winner=winner,
                evaluated=budget.evaluated,
                candidates=budget.candidates,
                test_score=retrained.test_score if retrained else None,
            )
        )
    return tuple(winners)


def sum_retraining_seconds(context: Context, found: SearchOutcome | None) -> float:
    """Sum the wall time in seconds of the retrainings of all budgets but the largest."""
    if found is None:
        return 0.0
    others = [stage for stage in name_retrainings(found).values() if stage != "retrain"]
    outcomes = [context.directory.outcome(RetrainOutcome, stage) for stage in others]
    return float(sum(outcome.seconds for outcome in outcomes if outcome))
