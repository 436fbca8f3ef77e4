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
_RECORDED = {
    "train": ("train",),
    "search": (EVALUATION,),
    "finalists": ("short-",),
    "retrain": ("retrain",),
    "compare": ("compare-",),
}


@dataclass(frozen=True)
class StageRow:
    """A stage of the run as a row of a table; ``share`` of the time is in [0, 1]."""

    name: str
    work: str
    seconds: str
    share: float
    memory: str


@dataclass(frozen=True)
class Resources:
    """What a run took.

    Args:
        rows (tuple[StageRow, ...]): its stages, and their sum if there are several.
        memory_note (str): what the memory is; empty if none was measured.
        savings (tuple[str, ...]): what sharing and reuse saved, in sentences.
    """

    rows: tuple[StageRow, ...]
    memory_note: str
    savings: tuple[str, ...]


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
    total = sum(result.seconds.values())
    peaks = {stage: _peak(metrics, _RECORDED[stage]) for stage in result.seconds}
    rows = [
        StageRow(
            name=words.RUN_STAGES[stage],
            work=_work(result, stage, reused),
            seconds=words.duration(seconds),
            share=seconds / total if total else 0.0,
            memory=_bytes(peaks[stage]),
        )
        for stage, seconds in result.seconds.items()
    ]
    if not rows:
        return None
    if len(rows) > 1:
        highest = _bytes(max(peaks.values()))
        rows.append(StageRow("Total", "", words.duration(total), 1.0, highest))
    measured = "that torch allocated on the GPU"
    if not result.device.startswith("cuda"):
        measured = "of the process, libraries and images included"
    note = f"Peak memory {measured}." if any(peaks.values()) else ""
    return Resources(tuple(rows), note, tuple(_savings(result, metrics)))


def _work(result: Result, stage: str, reused: bool) -> str:
    if stage == "train" and result.train:
        return f"{result.train.steps:,} steps{', by the run that is reused' if reused else ''}"
    if stage == "search" and result.search:
        return f"{_count(result.search.evaluated, 'candidate')} scored"
    if stage == "finalists":
        return _count(len(result.finalists), "network")
    if stage == "retrain" and result.retrain:
        networks = len({one.winner.architecture for one in result.budgets})
        text = f"{result.retrain.steps:,} steps"
        return f"{_count(networks, 'network')}, {text} each" if networks > 1 else text
    if stage == "compare" and result.comparison:
        uniform = result.comparison.uniform is not None
        return _count(len(result.comparison.networks) + uniform, "network")
    return ""


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _savings(result: Result, metrics: Sequence[Mapping[str, Any]]) -> list[str]:
    search, sentences = result.search, []
    if search is None:
        return []
    compared, known = words.evaluations(search)
    if known:
        sentences.append(
            f"Reuse saved {known:,} of {_count(compared, 'evaluation')} ({known / compared:.0%}): "
            "these candidates had been scored before with the same supernet."
        )
    lines = [line for line in metrics if line.get("stage") == EVALUATION]
    stages, computed = (sum(_number(line, key) for line in lines) for key in ("stages", "computed"))
    if computed < stages:
        sentences.append(
            f"Sharing saved {1 - computed / stages:.0%} of the stages: candidates that begin alike "
            f"share these stages, so that {computed:,} were computed instead of {stages:,}."
        )
    return sentences


def _peak(metrics: Sequence[Mapping[str, Any]], beginnings: tuple[str, ...]) -> int:
    return max(
        (
            _number(line, "peak_memory")
            for line in metrics
            if str(line.get("stage")).startswith(beginnings)
        ),
        default=0,
    )


def _number(line: Mapping[str, Any], key: str) -> int:
    value = line.get(key)
    return value if isinstance(value, int) else 0


def _bytes(value: int) -> str:
    """A number of bytes in words; a dash for none.

    Example:
        >>> _bytes(0), _bytes(52_428_800), _bytes(1_288_490_189)
        ('–', '50 MiB', '1.2 GiB')
    """
    if not value:
        return "–"
    return f"{value / 2**30:.1f} GiB" if value >= 2**30 else f"{value / 2**20:.0f} MiB"
