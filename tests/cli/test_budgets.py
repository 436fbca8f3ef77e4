"""``--budgets``, ``--pareto`` and more iterations, as they are typed, and killed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from commands import SAVED_ONCE, SMALL, Ended, Started, result_of, until

Cli = Callable[..., Ended]
Start = Callable[..., Started]


def search_of(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "search.json").read_text())
    return found


@pytest.mark.parametrize(
    "asked", [("--budgets", "flops=120K,110K,140K"), ("--pareto", "flops,params")]
)
def test_a_search_that_is_killed_finds_the_same(
    start: Start, finished_run: Path, tmp_path: Path, asked: tuple[str, str]
) -> None:
    once, again = tmp_path / "once", tmp_path / "again"
    command = ("search", *SMALL, *asked, "--reuse", finished_run, "--out")
    ended = start(*command, once).wait()
    assert ended.status == 0, ended.err
    shown = "One network for each budget" if asked[0] == "--budgets" else "Front, from the cheapest"
    assert shown in ended.out
    killed = start(*command, again)
    until((again / ".search-seconds").exists, killed.process)
    killed.kill()
    assert start(*command, again).wait().status == 0
    assert result_of(again) == result_of(once)
    assert search_of(again)["candidates"] == search_of(once)["candidates"]


def test_budgets_are_retrained_and_shown(
    start: Start, cli: Cli, finished_run: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    ended = start(
        *("run", *SMALL, *SAVED_ONCE, "--budgets", "flops=110K,140K"),
        *("--reuse", finished_run, "--out", out),
    ).wait()
    assert ended.status == 0, ended.err
    rows = result_of(out)["budgets"]
    assert [row["maximum"]["flops"] for row in rows] == [110_000, 140_000]
    assert all(0 < row["test_score"] < 1 for row in rows)
    shown = cli("show", out).out
    assert all(row["winner"]["architecture"] in shown for row in rows)
    # Nothing is left to do, whichever way the budgets are written.
    again = cli("run", "--budgets", "flops=140K,110000", "--out", out)
    assert (again.status, again.err) == (0, "")


def test_more_iterations_where_nothing_is_retrained(
    start: Start, cli: Cli, finished: Path, tmp_path: Path
) -> None:
    mistake = cli("search", "--iterations", "4", "--out", finished).mistake
    assert "search.iterations is 3 there and 4 here" in mistake
    out = tmp_path / "searched"
    shutil.copytree(finished, out, ignore=shutil.ignore_patterns("retrain*", "compare*"))
    assert start("search", "--iterations", "4", "--out", out).wait().status == 0
    assert search_of(out)["candidates"][:18] == search_of(finished)["candidates"]
    assert len(search_of(out)["candidates"]) == 24
    assert search_of(out)["evaluated"] == 24


@pytest.mark.parametrize(
    ("asked", "mistake"),
    [
        (("--budgets", "40K,60K"), "write one cost and its limits, such as --budgets flops=40M"),
        (("--budgets", "flops=130K,130K"), "--budgets flops: 130.0K is given twice"),
        (("--budgets", "flops=130K,lots"), "'lots' is not a positive number"),
        (("--budgets", "flops=130K", "--max-flops", "140K"), "give one of them"),
        (("--budgets", "flops=1K,130K"), "satisfies max flops 1.000K: reachable are"),
        (("--budgets", "flop=130K"), "unknown cost 'flop': did you mean 'flops'?"),
        (("--budgets", "flops=130K", "--pareto", "params"), "algorithm nsga2"),
        (("--pareto", "flop"), "unknown cost 'flop': did you mean 'flops'?"),
        (("--pareto", "flops,flops"), "name each cost once"),
        (("--pareto", "flops", "--algorithm", "evolution"), "evolution finds one network"),
        (("--algorithm", "nsga2"), "such as --pareto flops"),
    ],
)
def test_mistakes_before_anything_is_trained(
    cli: Cli, tmp_path: Path, asked: tuple[str, ...], mistake: str
) -> None:
    out = tmp_path / "run"
    assert mistake in cli("run", *SMALL, *asked, "--out", out).mistake
    assert not out.exists()
