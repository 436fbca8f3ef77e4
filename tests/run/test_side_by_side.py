"""Work in several processes gives what it gives in one."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import torch

from spos import Architecture, UserError
from spos._util.files import read_json
from spos._util.listener import Silent
from spos.cost.latency.backend import threads_set
from spos.run import local_workers, run
from spos.run.context import Context
from spos.run.directory import RunDirectory
from spos.run.local_workers import LocalWorkers
from spos.run.network import load_checkpoint
from spos.run.scoring import Candidates, Known, Scorer
from spos.run.side_by_side import ThisProcess, Workers
from spos.run.workers import make_workers
from spos.search.sqlite import recorded_scores

SETTINGS: dict[str, Any] = {
    "space": {"name": "mobile", "preset": "tiny"},
    "layout": {"image_size": 8, "channels": [8, 16], "depths": [1, 2], "strides": [1, 2]},
    "data": {"source": "digits", "validation": 100},
    "supernet": {"steps": 10, "warmup_steps": 0},
    "search": {"population": 10, "iterations": 2, "parents": 3},
    "finalists": {"count": 3},
    "retrain": {"steps": 8, "warmup_steps": 0},
    "constraint": {"maximum": {"flops": 400_000}},
    "run": {"calibration": 64},
}
#: What differs between two runs: times, and how candidates were cut into pieces.
TIMES = {"seconds", "date", "images_per_second", "peak_memory", "machine"}


def without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_times(one) for name, one in value.items() if name not in TIMES}
    return [without_times(one) for one in value] if isinstance(value, list) else value


def outcome(out: Path, name: str) -> Any:
    return without_times(read_json(out / name))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    folder = tmp_path_factory.mktemp("runs")
    for count in (1, 2):
        workers: Workers = ThisProcess(1) if count == 1 else LocalWorkers(count, 1)
        began = time.monotonic()
        result = run(folder / str(count), SETTINGS, compare=2, workers=workers)
        # Of trainings side by side not the sum.
        assert sum(result.seconds.values()) <= time.monotonic() - began
        workers.close()
    return {count: folder / str(count) for count in (1, 2)}


@pytest.mark.parametrize("name", ["search", "finalists", "retrain", "compare", "result"])
def test_the_result_does_not_depend_on_the_number_of_processes(
    runs: dict[int, Path], name: str
) -> None:
    one, two = (outcome(runs[count], f"{name}.json") for count in (1, 2))
    if name == "search":
        one, two = ({**part, "stages": None} for part in (one, two))
    assert one == two


def test_races_and_training_free_scores_do_not_depend_on_the_number_of_processes(
    tmp_path: Path,
) -> None:
    settings = {
        **SETTINGS,
        "data": {"source": "digits", "validation": 400},
        "search": {**SETTINGS["search"], "population": 16, "naswot_weight": 0.5, "racing": 0.8},
        "run": {"calibration": 64, "evaluation_batch": 64},
    }
    found = []
    for workers in (ThisProcess(1), LocalWorkers(2, 1)):
        out = tmp_path / str(workers.count)
        run(out, settings, ("train", "search"), workers=workers)
        workers.close()
        found.append({**outcome(out, "search.json"), "stages": None})
    assert found[0] == found[1]
    assert any(one["dropped_after"] for one in found[0]["candidates"])
    # The trials of pieces come in another order.
    studies = [recorded_scores(tmp_path / str(count) / "study.db") for count in (1, 2)]
    assert studies[0] == studies[1]


def test_every_training_is_recorded_once(runs: dict[int, Path]) -> None:
    def steps(out: Path) -> list[tuple[str, int]]:
        lines = map(json.loads, (out / "metrics.jsonl").read_text().splitlines())
        return sorted((line["stage"], line["step"]) for line in lines if "step" in line)

    assert steps(runs[1]) == steps(runs[2])


def test_a_mistake_in_a_process_is_one_line(tmp_path: Path) -> None:
    run(tmp_path / "a", SETTINGS, ("train", "search"))
    (checkpoint,) = (tmp_path / "a" / "supernet").glob("*.safetensors")
    settings = {**SETTINGS, "search": {**SETTINGS["search"], "iterations": 3}}
    workers = LocalWorkers(2, 1)
    # The first process has read it already; the others have not.
    moved = checkpoint.with_name("moved")

    def read_and_move(context: Any) -> Any:
        found = load_checkpoint(context)
        checkpoint.rename(moved)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("spos.run.stages.load_checkpoint", read_and_move)
        with pytest.raises(UserError, match="no longer has a trained supernet"):
            run(tmp_path / "a", settings, ("search",), workers=workers)
    workers.close()


def test_a_process_that_cannot_be_started_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise EOFError

    monkeypatch.setattr("multiprocessing.popen_forkserver.Popen._launch", refuse)
    monkeypatch.setattr("multiprocessing.popen_spawn_posix.Popen._launch", refuse)
    for name in ("for_workers", "images_to_share"):
        monkeypatch.setattr(local_workers, name, lambda _: None)
    context: Any = SimpleNamespace(check_picklable=lambda: None, listener=Silent())
    with pytest.raises(UserError, match="a worker process cannot be started: allow more processes"):
        list(LocalWorkers(1, 1).map(context, double, [1]))


def test_a_process_that_has_no_thread_left_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    here, there = multiprocessing.Pipe()
    # A fork, which has what is replaced here.
    serve = multiprocessing.get_context("fork").Process(
        target=local_workers._serve, args=(there, b"", None, 1, 0)
    )
    with monkeypatch.context() as patch:
        patch.setattr("threading.Thread.start", refuse)
        serve.start()
    kind, line = here.recv()
    serve.join()
    assert kind == "mistake" and line.startswith("no further thread or process can be started")


def failed_import() -> None:
    raise SystemExit(1)


def test_a_worker_that_fails_before_its_work_is_told_apart_from_one_that_was_killed() -> None:
    workers = LocalWorkers(1, 1)
    for target, says in ((failed_import, "the block of if __name__"), (os.abort, "was killed")):
        here, there = multiprocessing.Pipe()
        process = multiprocessing.get_context("spawn").Process(target=target)
        process.start()
        there.close()
        workers._processes[here] = process
        with pytest.raises(UserError, match=says):
            workers._receive(here)
        assert not workers._processes


def double(_: Any, item: int) -> list[int]:
    return [2 * item]


def test_a_process_that_was_killed_meanwhile_is_one_line(runs: dict[int, Path]) -> None:
    directory = RunDirectory(runs[1])
    config, fixed = directory.resolve_config({}, ())
    workers = LocalWorkers(2, 1)
    context = Context(config, fixed, directory, Silent(), accelerator="cpu", workers=workers)
    assert dict(workers.map(context, double, range(4))) == {0: 0, 1: 2, 2: 4, 3: 6}
    killed = next(iter(workers._processes.values()))
    killed.kill()
    killed.join()
    with pytest.raises(UserError, match="a worker process was killed: possibly out of memory"):
        list(workers.map(context, double, range(4)))
    # The next ones take their place.
    assert dict(workers.map(context, double, range(4))) == {0: 0, 1: 2, 2: 4, 3: 6}
    workers.close()


def test_one_candidate_is_scored_with_as_many_threads_as_several(
    runs: dict[int, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = RunDirectory(runs[1])
    config, fixed = directory.resolve_config({}, ())
    context = Context(
        config, fixed, directory, Silent(), accelerator="cpu", workers=LocalWorkers(2, 1)
    )
    threads = []

    def score(_: Any, item: Candidates) -> Iterator[tuple[Architecture, Known]]:
        threads.append(torch.get_num_threads())
        yield from ((one, Known([1.0], None)) for one in item.architectures)

    monkeypatch.setattr("spos.run.scoring.score_candidates", score)
    supernet, _ = load_checkpoint(context)
    with threads_set(3):
        assert len(dict(Scorer(context, supernet)([supernet.active]))) == 1
    assert threads == [1]


SCRIPT = """
import signal
import sys
from pathlib import Path
import torch
from spos.run import run
from spos.run.local_workers import LocalWorkers
from test_side_by_side import SETTINGS

if __name__ == "__main__":
    # Processes of pytest-xdist ignore it, and so do theirs.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    torch.set_num_threads(int(sys.argv[2]))
    workers = LocalWorkers(2, 1)
    run(Path(sys.argv[1]), SETTINGS, compare=2, workers=workers)
    workers.close()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_run_ends_with_its_processes_and_resumes(
    runs: dict[int, Path], tmp_path: Path, number: int
) -> None:
    script, out = tmp_path / "script.py", tmp_path / "run"
    script.write_text(SCRIPT)
    paths = f"{Path(__file__).parent}:{os.environ.get('PYTHONPATH', '')}"
    process = subprocess.Popen(
        [sys.executable, str(script), str(out), str(torch.get_num_threads())],
        env={**os.environ, "PYTHONPATH": paths},
        stderr=subprocess.PIPE,
        text=True,
    )
    while not list(out.glob("short-*")):
        assert process.poll() is None, process.stderr and process.stderr.read()
        time.sleep(0.02)
    children = [child.pid for child in psutil.Process(process.pid).children(recursive=True)]
    assert len(children) >= 2
    process.send_signal(number)
    process.wait(60)
    until = time.monotonic() + 30
    while any(map(psutil.pid_exists, children)):
        assert time.monotonic() < until
        time.sleep(0.1)
    assert not (out / "compare.json").exists()
    run(out, SETTINGS, compare=2, workers=ThisProcess(1))
    for name in ("finalists", "retrain", "compare", "result"):
        assert outcome(out, f"{name}.json") == outcome(runs[1], f"{name}.json")


def test_a_long_name_of_temporary_files_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ("long" * 20)
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    assert not local_workers.may_fork()
    workers = LocalWorkers(2, 1, always=False)
    workers.warm()
    assert not workers.always, "each would take seconds to start"


def test_one_that_is_left_is_trained_where_all_were(runs: dict[int, Path], tmp_path: Path) -> None:
    class Counting(ThisProcess):
        count = 2

        def map(self, context: Any, work: Any, items: Any, label: str = "") -> Any:
            worked.append((label, len(items)))
            return super().map(context, work, items, label)

    worked: list[tuple[str, int]] = []
    out = tmp_path / "run"
    shutil.copytree(runs[1], out)
    for name in ("compare-1", "compare", "result"):
        (out / f"{name}.json").unlink()
    shutil.rmtree(out / "compare-1")
    run(out, SETTINGS, compare=2, workers=Counting(1))
    assert ("compare", 1) in worked
    assert outcome(out, "result.json") == outcome(runs[1], "result.json")


def test_warm_processes_are_used_for_short_work(runs: dict[int, Path], tmp_path: Path) -> None:
    workers = LocalWorkers(2, 1, always=False)
    workers.warm()
    told: list[str] = []
    listener = SimpleNamespace(message=told.append, progress=lambda *_: None)
    try:
        run(tmp_path / "run", SETTINGS, compare=2, workers=workers, listener=listener)
    finally:
        workers.close()
    assert "2 processes of 1 thread each" in told
    assert outcome(tmp_path / "run", "result.json") == outcome(runs[1], "result.json")


@pytest.mark.parametrize(
    ("count", "threads", "faster"),
    [(2, 2, "--workers 2 --threads 1"), (5, 1, "--workers 3 --threads 1"), (3, 1, "")],
)
def test_more_threads_than_cores_are_said(
    count: int, threads: int, faster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2}, raising=False)
    workers = LocalWorkers(count, threads)
    told = workers._describe(count)
    named = "1 thread" if threads == 1 else f"{threads} threads"
    assert told.startswith(f"{count} processes of {named} each")
    assert told.endswith(f", more than the 3 cores here: {faster} is faster") == bool(faster)


def test_one_core_needs_no_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0}, raising=False)
    assert make_workers(None, None, "cpu").count == 1
    assert make_workers(3, None, "cpu").count == 3


@pytest.mark.parametrize("given", [0, -1, 2.5, "two", "rays", "10.0.0.1:10001"])
def test_what_is_no_number_of_processes_is_refused(given: Any) -> None:
    with pytest.raises(UserError, match=rf"^--workers {given}: must be a whole number, at least 1"):
        make_workers(given)


def test_a_process_that_may_start_none_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multiprocessing, "current_process", lambda: SimpleNamespace(daemon=True))
    with pytest.raises(UserError, match=r"^--workers 2: a daemonic process, as those of"):
        make_workers(2)
    assert make_workers(1).count == 1
