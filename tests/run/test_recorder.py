"""The time of a stage, whoever spent it."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

import pytest

from spos.run.directory import RunDirectory
from spos.run.recorder import stopwatch, timed


def test_the_time_of_a_stage_is_that_of_all_attempts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    directory = RunDirectory(tmp_path)
    with timed(directory, "compare"):
        now += 5
    assert not list(tmp_path.iterdir())  # Of a run that has not begun.
    directory.config_path.touch()
    with suppress(KeyboardInterrupt), timed(directory, "compare"):
        now += 7
        raise KeyboardInterrupt
    now += 1000
    with timed(directory, "compare") as watch:
        now += 2
    assert watch.seconds == stopwatch(directory, "compare").before == 9
    assert stopwatch(directory, "known").before == 0
