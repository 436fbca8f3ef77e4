"""What a run writes to standard error."""

from __future__ import annotations

import pickle
import re
import sys
import time

import pytest

from spos._util.console import LINE_INTERVAL, ConsoleListener
from spos.run.planning.execute import Countdown


def test_a_file_gets_the_first_and_the_last_line_of_a_stage_and_one_a_minute(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr("spos._util.console.time.monotonic", lambda: now[0])
    listener = ConsoleListener()
    for done in range(1, 11):
        listener.progress("train", done, 10, f"loss {done}")
        now[0] += LINE_INTERVAL / 4
    listener.progress("search", 1, 5, "top-1 50%")
    listener.message("skipped [bold].jpg")
    listener.close()
    assert capsys.readouterr().err.splitlines() == [
        "spos: train 1/10  loss 1",
        "spos: train 5/10  loss 5",
        "spos: train 9/10  loss 9",
        "spos: train 10/10  loss 10",
        "spos: search 1/5  top-1 50%",
        "spos: skipped [bold].jpg",
    ]


def test_a_terminal_gets_a_bar_with_messages_above_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "120")
    listener = ConsoleListener()
    listener.progress("train", 1, 10, "loss 2.5")
    listener.message("skipped [bold].jpg")
    # A worker process has a listener of its own.
    pickle.loads(pickle.dumps(listener)).message("from a worker")
    listener.progress("train", 10, 10, "loss 1.5")
    listener.progress("search", 1, 5, "top-1 50%")
    listener.close()
    shown = capsys.readouterr().err
    for text in ("train", "10/10", "loss 1.5", "search", "1/5", "top-1 50%"):
        assert text in shown
    assert "spos: skipped [bold].jpg" in shown
    assert "spos: from a worker" in shown


def test_eighty_columns_show_the_time_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    listener = Countdown(ConsoleListener(), until=time.monotonic() + 754)
    listener.progress("train", 1234, 7500, "loss 2.500  top-1 12.5%  1,234 images/s")
    listener.listener.close()
    # The escape codes of colours take no space.
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", capsys.readouterr().err).splitlines()
    lines = [line for line in shown if "12 min 3" in line]
    assert lines and all("1234/7500" in line and "left in all" in line for line in lines)
    assert max(map(len, shown)) <= 80


def test_no_time_is_left_of_a_plan_that_is_over(capsys: pytest.CaptureFixture[str]) -> None:
    Countdown(ConsoleListener(), until=time.monotonic() - 1).progress("compare", 1, 9, "loss 2.5")
    assert capsys.readouterr().err.split("  ") == ["spos: compare 1/9", "loss 2.5\n"]
