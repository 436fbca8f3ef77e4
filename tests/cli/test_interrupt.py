"""Ctrl-C and other signals that end a command: one line, status 130, and it resumes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import SMALL, Started, result_of, until

import spos

SOURCE = str(Path(spos.__file__).parents[1])
COMMAND = ("run", *SMALL, "--max-flops", "130K", "--out")
LINE = "spos: interrupted; the state is saved, rerun the same command to resume"


def test_an_interrupted_run_resumes_to_the_same_result(
    finished_run: Path, start: Callable[..., Started], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    moments = (
        ("supernet/step-*", "train.json", signal.SIGINT),
        (".search-seconds", "search.json", signal.SIGTERM),
        ("retrain/step-*", "retrain.json", signal.SIGHUP),
    )
    for pattern, end, number in moments:
        before = newest(out, pattern)
        run = start(*COMMAND, out)
        until(lambda seen=before, at=pattern: newest(out, at) != seen, run.process)
        run.signal(number)
        ended = run.wait()
        assert (ended.status, ended.told, ended.out) == (130, [LINE], "")
        assert not (out / end).exists()
        if pattern.endswith("*"):
            # The last step that was made is saved.
            last = json.loads((out / "metrics.jsonl").read_text().splitlines()[-1])["step"]
            assert newest(out, pattern)[0] == f"step-{last:08d}.safetensors"
    assert start(*COMMAND, out).wait().status == 0
    interrupted, whole = result_of(out), result_of(finished_run)
    del interrupted["comparison"], whole["comparison"]
    assert interrupted == whole


def newest(out: Path, pattern: str) -> tuple[str, int]:
    return max(((p.name, p.stat().st_mtime_ns) for p in out.glob(pattern)), default=("", 0))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interruption_before_the_first_step_is_a_line_too(
    number: int, start: Callable[..., Started], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    for moment in (out, out / "config.yaml"):
        run = start("train", *SMALL, "--set", "supernet.steps=100000", "--out", out)
        until(moment.exists, run.process)
        run.signal(number)
        ended = run.wait()
        # Before there is a configuration, nothing is left behind, and nothing is to be resumed.
        line = LINE if out.exists() else "spos: interrupted"
        assert (ended.status, ended.told) == (130, [line])
    assert out.exists()


def test_under_nohup_a_closed_terminal_ends_nothing(
    start: Callable[..., Started], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    run = start("train", *SMALL, "--set", "supernet.steps=100000", "--out", out, nohup=True)
    until((out / "config.yaml").exists, run.process)
    for _ in range(2):
        before = newest(out, "supernet/step-*")
        run.signal(signal.SIGHUP)
        until(lambda seen=before: newest(out, "supernet/step-*") != seen, run.process)
    run.signal(signal.SIGTERM)
    ended = run.wait()
    assert (ended.status, ended.told) == (130, [LINE])
    assert newest(out, "supernet/step-*") != before


@pytest.mark.parametrize("begun", ["from spos.__main__ import entry; entry()", "-m"])
def test_an_interruption_while_the_command_is_imported_is_no_traceback(
    begun: str, tmp_path: Path
) -> None:
    # A library of the command line that takes a while, as all do on a slow disk.
    (tmp_path / "click.py").write_text("print('begun', flush=True)\nimport time; time.sleep(60)")
    command = ["-m", "spos"] if begun == "-m" else ["-c", begun]
    started = subprocess.Popen(
        [sys.executable, *command],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), SOURCE])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert started.stdout.readline() == "begun\n"
    for _ in range(3):
        started.send_signal(signal.SIGINT)
    assert started.communicate(timeout=60) == ("", "")
    assert started.returncode == 130


def test_what_a_library_makes_of_an_interruption_is_one(tmp_path: Path) -> None:
    script = """
import os, signal
from spos._cli.main import entry, main

def show(**options):
    try:
        os.kill(os.getpid(), signal.SIGTERM)
    except KeyboardInterrupt:
        raise ImportError("a part of it cannot be imported")

main.commands["show"].callback = show
entry()
"""
    ended = subprocess.run(
        [sys.executable, "-c", script, "show", "run"], capture_output=True, text=True
    )
    assert (ended.returncode, ended.stderr) == (130, "spos: interrupted\n")


def test_an_interruption_leaves_no_semaphores_that_another_process_tells_of() -> None:
    script = """
import multiprocessing, os, signal
from spos._cli.main import entry, main

def show(**options):
    queue = multiprocessing.get_context("spawn").SimpleQueue()
    os.kill(os.getpid(), signal.SIGTERM)

main.commands["show"].callback = show
entry()
"""
    ended = subprocess.run(
        [sys.executable, "-c", script, "show", "run"], capture_output=True, text=True
    )
    assert (ended.returncode, ended.stderr) == (130, "spos: interrupted\n")
