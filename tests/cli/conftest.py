"""The command line as its user sees it: arguments, exit status, output, and files."""

from __future__ import annotations

import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from spos._cli.main import entry

# The processes that commands run in import the module by this name.
sys.path.append(str(Path(__file__).parent))
from commands import SMALL, Ended, Started


@pytest.fixture
def cli(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., Ended]]:
    """Run a command in this process."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")

    def run(*arguments: object) -> Ended:
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

    def run(*arguments: object) -> Started:
        folder = tmp_path / f"process{len(started)}"
        folder.mkdir()
        started.append(Started(folder, *arguments))
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
    ended = Started(folder, "run", *SMALL, *bounds, "--out", out).wait()
    assert ended.status == 0, ended.err
    return out


@pytest.fixture
def finished(finished_run: Path, tmp_path: Path) -> Path:
    """A copy of a run with everything in it."""
    out = tmp_path / "run"
    shutil.copytree(finished_run, out)
    return out
