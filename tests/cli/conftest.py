"""The command line as its user sees it: arguments, exit status, output, and files."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from filelock import FileLock

from spos._cli.main import entry
from spos._util.interrupt import SIGNALS

# The processes that commands run in import the module by this name.
sys.path.append(str(Path(__file__).parent))
from commands import SMALL, Ended, Started


def run_here(patch: pytest.MonkeyPatch, *arguments: object) -> int:
    """Run a command in this process; returns its exit status."""
    patch.setenv("OMP_NUM_THREADS", "1")
    patch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    patch.setattr(sys, "argv", ["spos", *map(str, arguments)])
    try:
        entry()
    except SystemExit as error:
        return int(error.code or 0)
    return 0


@contextmanager
def signals_restored() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    hook = threading.excepthook
    yield
    threading.excepthook = hook
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def cli(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., Ended]]:
    """Run a command in this process."""

    def run(*arguments: object) -> Ended:
        capfd.readouterr()
        status = run_here(monkeypatch, *arguments)
        return Ended(status, *capfd.readouterr())

    with signals_restored():
        yield run


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Started]]:
    """Start a command in a process of its own; it is gone when the test ends."""
    started: list[Started] = []

    def run(
        *arguments: object,
        fork: bool = False,
        variables: Mapping[str, str] | None = None,
        nohup: bool = False,
    ) -> Started:
        folder = tmp_path / f"process{len(started)}"
        folder.mkdir()
        started.append(Started(folder, *arguments, fork=fork, variables=variables, nohup=nohup))
        return started[-1]

    yield run
    for one in started:
        one.kill()


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with everything in it, one for all workers; not to be written to."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    out, bounds = folder / "finished" / "run", ("--max-flops", "130K", "--compare", "2")
    with FileLock(folder / "finished.lock"), pytest.MonkeyPatch.context() as patch:
        if not out.exists():
            with signals_restored():
                status = run_here(patch, "run", *SMALL, *bounds, "--out", out)
            assert status == 0
            left = list(out.glob("study.db-*"))
            assert not left, "a search takes its log into its file"
    return out


@pytest.fixture
def finished(finished_run: Path, tmp_path: Path) -> Path:
    """A copy of a run with everything in it."""
    out = tmp_path / "run"
    # Another worker may be reading it, for which SQLite has a log beside the file.
    shutil.copytree(finished_run, out, ignore=shutil.ignore_patterns("study.db-*"))
    return out
