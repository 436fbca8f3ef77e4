"""SIGKILL at any moment: the same command resumes and finds the same result."""

from __future__ import annotations

import contextlib
import json
import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from commands import SMALL, Started, result_of, until
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

COMMAND = ("run", *SMALL, "--max-flops", "130K", "--compare", "2", "--out")
#: The files that a stage writes to, the one that it ends with, and how often it is killed.
STAGES = {
    "start": ("data.json", "data.json", 1),
    "train": ("supernet/step-*", "train.json", 1),
    "search": ("study.db*", "search.json", 2),
    "retrain": ("retrain/step-*", "retrain.json", 1),
    "compare": ("compare-*/step-*", "compare.json", 2),
}


def stage_of(out: Path) -> str:
    return next((stage for stage, (_, last, _) in STAGES.items() if not (out / last).exists()), "")


def written(out: Path, pattern: str) -> set[tuple[str, int]]:
    found = set()
    for path in out.glob(pattern):
        with contextlib.suppress(FileNotFoundError):
            found.add((path.name, path.stat().st_mtime_ns))
    return found


def steps_of(out: Path) -> dict[str, list[int]]:
    steps: dict[str, list[int]] = {}
    for line in (out / "metrics.jsonl").read_text().splitlines():
        metric = json.loads(line)
        # Evaluations have no steps.
        if "step" in metric:
            steps.setdefault(metric["stage"], []).append(metric["step"])
    return steps


def test_a_run_killed_again_and_again_finds_what_an_undisturbed_one_finds(
    finished_run: Path, start: Callable[..., Started], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    moments = random.Random(0)
    killed: Counter[str] = Counter()
    for stage, (pattern, _, kills) in STAGES.items():
        for _ in range(kills):
            before = written(out, pattern)
            run = start(*COMMAND, out)
            if stage == "start":
                time.sleep(moments.uniform(0, 0.3))
            else:
                until(lambda seen=before, at=pattern: written(out, at) != seen, run.process)
                # A few steps or evaluations: a longer wait would be the end of the stage.
                time.sleep(moments.uniform(0, 0.06))
            run.kill()
            killed[stage_of(out)] += 1
    ended = start(*COMMAND, out).wait()
    assert ended.status == 0, ended.err
    assert set(killed) >= {"train", "search", "retrain", "compare"}, killed
    assert result_of(out) == result_of(finished_run)
    for stage, steps in steps_of(out).items():
        assert steps == sorted(set(steps)), stage
        curves = EventAccumulator(str(out / "tensorboard" / stage)).Reload()
        assert [scalar.step for scalar in curves.Scalars("loss")] == steps
    assert not list(out.rglob(".*.*"))
