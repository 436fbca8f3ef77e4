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
    """A stage of the run as a row of a table; the peak memory is in bytes, 0 if not measured.

    The share of the time of the run is in [0, 1]; that of a stage that another run did is 0.
    """

    name: str
    work: str
    seconds: float
    memory: int
    share: float


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


def collect_resources(result: Result, metrics: Sequence[Mapping[str, Any]]) -> Resources | None:
    """Collect what a run took.

    Args:
        result (Result): result of the run.
        metrics (Sequence[Mapping]): lines of ``metrics.jsonl``.

    Returns:
        The stages of the run; None before the first one is finished.
    """

    def recorded(beginning: str | tuple[str, ...], key: str) -> list[int]:
        return [line.get(key, 0) for line in metrics if line["stage"].startswith(beginning)]

    rows = []
    for stage, seconds in result.times.items() if result.seconds else ():
        peak = max(recorded(_RECORDED.get(stage, ()), "peak_memory"), default=0)
        own = 0.0 if stage in result.reused else seconds
        share = own / (result.total_time or 1.0)
        name = words.stage_name(stage, result.reused)
        rows.append(StageRow(name, _work(result, stage), seconds, peak, share))
    stages, computed = (sum(recorded(EVALUATION, key)) for key in ("stages", "computed"))
    return Resources(rows, stages, computed) if rows else None


def _work(result: Result, stage: str) -> str:
    if stage == "train" and result.train:
        members, steps = result.train.members, f"{result.train.steps:,} steps"
        steps = f"{members} supernets, {steps} each" if members > 1 else steps
        return f"{steps}, by the run that is reused" if result.train.reused else steps
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
