"""The judge of the cases sees what breaks a promise."""

from __future__ import annotations

from pathlib import Path

import pytest
from broken_cases import broken, crash, prepare
from promises import run_cases


def test_what_is_no_problem_is_none(tmp_path: Path) -> None:
    found = run_cases("plain", prepare, tmp_path, range(3), 0, tmp_path / "cases")
    assert [(one.status, one.problem) for one in found] == [(2, "")] * 3


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("raise", "KeyError"),
        ("leave", "it leaves .result.json.a1b2c3d4"),
        ("half", "result.json is not whole"),
        ("folder", "a mistake leaves the folder runs"),
        ("print", "it is not spos that says: Warning"),
        ("exit", "exit status 3"),
        ("hang", "it does not end"),
    ],
)
def test_a_broken_promise_is_seen(what: str, told: str, tmp_path: Path) -> None:
    (one,) = run_cases("broken", broken, tmp_path / what, range(1), 0, tmp_path / "cases")
    assert told in one.problem


def test_a_crash_is_that_of_its_case_and_the_others_are_run(tmp_path: Path) -> None:
    found = run_cases("crash", crash, tmp_path, range(8), 0, tmp_path / "cases")
    assert [one.number for one in found] == list(range(8))
    assert {one.problem for one in found} == {"", "it died: -11"}
