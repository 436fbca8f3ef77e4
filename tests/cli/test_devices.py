"""Two processes, one device each."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path

from commands import SMALL, STEPS, Started, until

TRAIN = ("train", *SMALL, "--accelerator", "cpu", "--devices", "2")
LINE = "spos: interrupted; the state is saved, rerun the same command to resume"
Start = Callable[..., Started]


def test_two_processes_stop_on_request_and_resume(start: Start, tmp_path: Path) -> None:
    out = tmp_path / "run"
    run = start(*TRAIN, "--out", out)
    until((out / "supernet").exists, run.process)
    run.signal(signal.SIGINT)
    stopped = run.wait()
    assert (stopped.status, stopped.told) == (130, [LINE])
    last = json.loads((out / "metrics.jsonl").read_text().splitlines()[-1])["step"]
    assert last < STEPS
    assert max(path.name for path in (out / "supernet").iterdir()) == f"step-{last:08d}.safetensors"
    ended = start(*TRAIN, "--out", out).wait()
    assert (ended.status, ended.told) == (0, [])
    result = json.loads((out / "result.json").read_text())
    assert (result["devices"], result["winner"]) == (2, None)
    steps = [json.loads(line)["step"] for line in (out / "metrics.jsonl").open()]
    assert steps == sorted(set(steps))
    assert steps[-1] == STEPS


def test_a_mistake_that_a_process_finds_is_one_line(start: Start, tmp_path: Path) -> None:
    out = tmp_path / "run"
    rate = ("--set", "supernet.learning_rate=1e30")
    mistake = start(*TRAIN, *rate, "--out", out, fork=True).wait().mistake
    assert mistake.startswith(("the loss became ", "non-finite weights "))
