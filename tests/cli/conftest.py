"""The command line as its user sees it: arguments, exit status, output, and files."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pytest

from spos.cli import entry

# The forked processes import the module by this name.
sys.path.append(str(Path(__file__).parent))
import forked

#: A run of a few seconds, with checkpoints in the middle of each training.
SMALL = (
    "--preset tiny --data digits --threads 1 --channels 16,24 --depths 1,2 --population 6"
    " --iterations 3 --set supernet.batch_size=16 --set supernet.steps=40"
    " --set supernet.warmup_steps=4 --set retrain.batch_size=16 --set retrain.steps=40"
    " --set retrain.warmup_steps=4 --set run.evaluation_batch=64 --set run.calibration=64"
    " --set data.validation=64 --set run.save_every=0.1 --set search.parents=3"
).split()


@dataclass
class Ended:
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def told(self) -> list[str]:
        """The lines on standard error, without those of progress."""
        kinds = ("train ", "search ", "retrain ", "compare-")
        starts = tuple(f"spos: {kind}" for kind in kinds)
        return [line for line in self.err.splitlines() if not line.startswith(starts)]

    @property
    def mistake(self) -> str:
        """The one line of a mistake."""
        assert self.status == 2, (self.status, self.err)
        (line,) = self.told
        assert line.startswith("spos: error: ")
        return line.removeprefix("spos: error: ")


class Started:
    """A command in a process of its own."""

    def __init__(self, arguments: tuple[str, ...], folder: Path) -> None:
        self._out, self._err = folder / "stdout", folder / "stderr"
        self.process: ForkServerProcess = forked.start(arguments, self._out, self._err)

    def wait(self) -> Ended:
        self.process.join(120)
        assert self.process.exitcode is not None, "it does not end"
        return Ended(self.process.exitcode, self._out.read_text(), self._err.read_text())

    def signal(self, number: int) -> None:
        """Send a signal to its process group, as a terminal does."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid or 0, number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self.process.join(120)


def result_of(out: Path) -> dict[str, Any]:
    """What result.json holds, without the times."""
    result: dict[str, Any] = json.loads((out / "result.json").read_text())
    del result["seconds"]
    return result


def files_of(out: Path) -> list[str]:
    return sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())


def until(condition: Callable[[], object], process: ForkServerProcess) -> None:
    """Wait for something that a process does, or for its end."""
    deadline = time.monotonic() + 120
    while not condition() and process.is_alive():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.005)


@pytest.fixture
def cli(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., Ended]]:
    """Run a command in this process."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")

    def run(*arguments: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["spos", *map(str, arguments)])
        capfd.readouterr()
        status = 0
        try:
            entry()
        except SystemExit as error:
            status = int(error.code or 0)
        return Ended(status, *capfd.readouterr())

    yield run
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Started]]:
    """Start a command in a process of its own; it is gone when the test ends."""
    started: list[Started] = []

    def run(*arguments: str) -> Started:
        folder = tmp_path / f"process{len(started)}"
        folder.mkdir()
        started.append(Started(tuple(map(str, arguments)), folder))
        return started[-1]

    yield run
    for one in started:
        one.kill()


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with everything in it; not to be written to."""
    folder = tmp_path_factory.mktemp("finished")
    out = folder / "run"
    bounds = ("--max-flops", "130K", "--compare", "2")
    ended = Started(("run", *SMALL, *bounds, "--out", str(out)), folder).wait()
    assert ended.status == 0, ended.err
    return out


@pytest.fixture
def finished(finished_run: Path, tmp_path: Path) -> Path:
    """A copy of a run with everything in it."""
    out = tmp_path / "run"
    shutil.copytree(finished_run, out)
    return out
