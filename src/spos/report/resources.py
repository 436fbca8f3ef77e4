"""What a run took, stage by stage, and what sharing and reuse saved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spos.report import words
from spos.report.result import Result

#: Stage of the lines of ``metrics.jsonl`` that tell what evaluations took.
EVALUATION = "evaluation"
#: How the stages of these lines begin, by stage of the run.
_RECORDED: dict[str, str | tuple[str, ...]] = {
    "train": ("train", "supernet-"),
    "search": EVALUATION,
    "finalists": "short-",
    "retrain": "retrain",
    "known": "known-",
    "compare": "compare-",
}


@dataclass(frozen=True)
class StageRow:
    """A stage of the run as a row of a table; the peak memory is in bytes, 0 if not measured."""

    name: str
    work: str
    seconds: float
    memory: int


@dataclass(frozen=True)
class Resources:
    """What a run took.

    Args:
        rows (list[StageRow]): its stages.
        stages (int): stages of all networks that the search scored.
        computed (int): those that were computed; the others are shared.
    """

    rows: list[StageRow]
    stages: int
    computed: int


def collect_resources(
    result: Result, metrics: Sequence[Mapping[str, Any]], *, reused: bool = False
) -> Resources | None:
    """Collect what a run took.

    Args:
        result (Result): result of the run.
        metrics (Sequence[Mapping]): lines of ``metrics.jsonl``.
        reused (bool): whether the supernet was trained by another run.

    Returns:
        The stages of the run; None before the first one is finished.
    """

    def recorded(beginning: str | tuple[str, ...], key: str) -> list[int]:
        return [line.get(key, 0) for line in metrics if line["stage"].startswith(beginning)]

    rows = []
    for stage, seconds in result.seconds.items():
        peak = max(recorded(_RECORDED[stage], "peak_memory"), default=0)
        rows.append(StageRow(words.RUN_STAGES[stage], _work(result, stage, reused), seconds, peak))
    stages, computed = (sum(recorded(EVALUATION, key)) for key in ("stages", "computed"))
    return Resources(rows, stages, computed) if rows else None


def _work(result: Result, stage: str, reused: bool) -> str:
    if stage == "train" and result.train:
        members, steps = result.train.members, f"{result.train.steps:,} steps"
        steps = f"{members} supernets, {steps} each" if members > 1 else steps
        return f"{steps}, by the run that is reused" if reused else steps
    if stage == "search" and result.search:
        return f"{words.counted(result.search.evaluated, 'candidate')} scored"
    if stage == "finalists":
        return words.counted(len(result.finalists), "network")
    if stage == "retrain" and result.retrain:
        networks = len({one.winner.architecture for one in result.budgets})
        text = f"{result.retrain.steps:,} steps"
        return f"{words.counted(networks, 'network')}, {text} each" if networks > 1 else text
    if stage == "known":
        return words.counted(len(result.known), "network")
    if stage == "compare" and result.comparison:
        return words.counted(len(result.comparison.others), "network")
    return ""
