"""Commands of benchmarks as forks, and the folder that benchmarks are imported from."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from threading import Lock

import pytest
from click.testing import CliRunner

# The processes that commands run in import the module by this name.
sys.path.append(str(Path(__file__).parents[1] / "cli"))
from commands import Started

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def _benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


class Forks:
    """Takes the place of ``launch.run_command``: a fork starts at once.

    Args:
        folder: of what the commands print.
    """

    def __init__(self, folder: Path) -> None:
        self.commands: list[tuple[str, ...]] = []
        self._folder = folder
        # A process can be waited for by one thread alone.
        self._lock = Lock()

    def __call__(self, command: Sequence[str], log: Path) -> None:
        from launch import SPOS

        assert tuple(command[: len(SPOS)]) == SPOS
        with self._lock:
            folder = self._folder / f"command{len(self.commands)}"
            folder.mkdir()
            self.commands.append(tuple(command[len(SPOS) :]))
            ended = Started(folder, *self.commands[-1]).wait()
        log.write_text(ended.out + ended.err)
        if ended.status:
            raise subprocess.CalledProcessError(ended.status, command)


@pytest.fixture
def forks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Forks:
    """Runs the commands of benchmarks as forks."""
    import evaluation_speed
    import paper_small
    import truth_table

    forks = Forks(tmp_path)
    for module in (evaluation_speed, paper_small, truth_table):
        monkeypatch.setattr(module, "run_command", forks)
    return forks


class SmallRuns:
    """Takes the place of ``launch.run_command``: in this process, with small networks."""

    SETTINGS = (
        *("supernet.batch_size=8", "retrain.batch_size=8", "search.parents=2"),
        *("run.calibration=16", "layout.channels=8,16", "layout.depths=1,2"),
        *("layout.strides=1,2", "layout.image_size=8"),
    )

    def __init__(self) -> None:
        self.commands: list[list[str]] = []

    def __call__(self, command: Sequence[str], log: Path) -> None:
        from launch import SPOS

        from spos._cli.main import main

        words = list(command[len(SPOS) :])
        self.commands.append(words)
        if "--reuse" not in words:
            # Of options given twice, the second counts.
            words += [
                "--data",
                "digits",
                *(part for one in self.SETTINGS for part in ("--set", one)),
            ]
            words += ["--population", "4", "--iterations", "1"] if words[0] == "run" else []
        done = CliRunner().invoke(main, words, catch_exceptions=False)
        assert done.exit_code == 0, done.output


@pytest.fixture
def small_runs(monkeypatch: pytest.MonkeyPatch) -> SmallRuns:
    """Runs the commands of benchmarks of folders in this process, and cuts no folder."""
    import inherited
    import network_sizes
    import short_recipes
    import time_shares

    runs = SmallRuns()
    for module in (inherited, network_sizes, short_recipes, time_shares):
        monkeypatch.setattr(module, "run_command", runs)
        monkeypatch.setattr(module, "cut_folder", lambda *_: None, raising=False)
    return runs
