"""Runs that keep to their plan."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from plans import DIGITS, SPEED, chosen, plan

from spos import UserError
from spos._util.listener import Silent
from spos.run.comparison import FOUND, UNIFORM
from spos.run.directory import RunDirectory
from spos.run.local_workers import LocalWorkers
from spos.run.outcome import RetrainOutcome
from spos.run.planning import capacity, execute
from spos.run.planning import planner as planning
from spos.run.planning.execute import Countdown, run_planned
from spos.run.planning.planner import Planner
from spos.run.planning.schedule import read_plan


@pytest.mark.usefixtures("measured")
@pytest.mark.parametrize("share", [1.0, 0.5])
def test_the_comparison_is_trained_beside_the_winner(monkeypatch, tmp_path, share):
    class Heard(Silent):
        def progress(self, stage: str, done: int, total: int, detail: str) -> None:
            totals[stage] = total

    totals: dict[str, int] = {}
    monkeypatch.setattr(capacity, "LEAST_SHARED", {True: 0.0, False: 0.0})
    monkeypatch.setattr(capacity, "measure_side_by_side", lambda *_, **__: 1.6)
    workers = LocalWorkers(2, 1, always=False)
    out, given = tmp_path / "run", {**DIGITS, "network": {"compare_share": share}}
    try:
        result = run_planned(
            out, given, seconds=6, threads=1, compare=1, workers=workers, listener=Heard()
        )
    finally:
        workers.close()
    assert result.retrain is not None and result.comparison is not None
    longest, short = result.retrain.steps, result.comparison.steps
    if share == 1.0:
        # What is left to train afterwards is the random network alone.
        assert totals["retrain"] == 2 * longest and totals["compare"] == longest
        assert short is None and result.comparison.found_test_score == result.test_score
    else:
        # All of them, the winner once more.
        assert short == round(longest / 2) and totals["retrain"] == longest + 3 * short
        assert "compare" not in totals
        found = RunDirectory(out).outcome(RetrainOutcome, FOUND)
        assert found is not None and found.steps == short
        assert found.architecture == str(result.winner.architecture)
        assert result.comparison.found_test_score == found.test_score
    assert UNIFORM not in totals and result.comparison.uniform is not None
    uniform = RunDirectory(out).outcome(RetrainOutcome, UNIFORM)
    assert uniform is not None
    assert uniform.architecture == result.comparison.uniform.architecture
    assert uniform.test_score == result.comparison.uniform.test_score


def test_a_planned_run_is_resumed_by_its_plan(tmp_path):
    class Stopped(Silent):
        def progress(self, stage: str, done: int, total: int, detail: str) -> None:
            if stage == "search" and done == 3:
                raise KeyboardInterrupt

    # Of this process alone: what was imported and compiled before is no part of it.
    began = time.monotonic()
    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        run_planned(out, DIGITS, seconds=4, threads=1, listener=Stopped(), began=began)
    made = read_plan(out)
    assert made is not None and made.compare is None
    train = (out / "train.json").read_bytes()
    result = run_planned(out, DIGITS, threads=1, compare=1)
    assert (out / "train.json").read_bytes() == train
    assert result.test_score is not None and result.comparison is not None
    assert result.retrain is not None and result.retrain.weights == "supernet"
    before = (out / "result.json").read_bytes()
    again = run_planned(out, DIGITS, seconds=4, threads=1, compare=1)
    assert again == result and (out / "result.json").read_bytes() == before
    with pytest.raises(UserError, match=r"--time 30.0 s: .* was planned for 4.0 s; give the same"):
        run_planned(out, DIGITS, seconds=30)
    assert json.loads((out / "plan.json").read_text())["compare"] == 1
    assert result.planning == made.spent > 0
    # Its evaluations have both scores.
    reusing = Planner({}, 4, reuse=RunDirectory(out))
    assert "search.naswot_weight" not in chosen(reusing.plan())
    assert reusing.given["search"]["naswot_weight"] == planning.NASWOT_WEIGHT


@pytest.mark.usefixtures("measured")
def test_a_mistake_leaves_no_plan(tmp_path):
    given = {"data": {"source": "digits"}, "search": {"population": 1, "mutation_children": 5}}
    with pytest.raises(UserError, match="children"):
        run_planned(tmp_path / "run", given, seconds=20)
    assert not (tmp_path / "run").exists()


def test_a_run_that_was_not_planned_gets_no_time(tmp_path):
    (tmp_path / "config.yaml").write_text("run: {seed: 0}\n")
    with pytest.raises(UserError, match=r"--time: .* was started without it; leave it out"):
        run_planned(tmp_path, DIGITS, seconds=20)


@pytest.mark.usefixtures("measured")
def test_a_run_that_reuses_a_planned_one_keeps_its_threads_when_it_is_resumed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    threads = []
    monkeypatch.setattr(execute, "run", lambda *_, **__: threads.append(torch.get_num_threads()))
    monkeypatch.setattr(execute, "read_plan", lambda folder: made if folder == other else None)
    other, out = tmp_path / "other", tmp_path / "run"
    made = replace(plan(DIGITS, 60), speed=replace(SPEED, threads=7))
    for folder in (other, out):
        folder.mkdir()
    (other / "config.yaml").write_text("data: {source: digits}\n")
    run_planned(out, {}, reuse=other)
    (out / "config.yaml").write_text("data: {source: digits}\n")
    run_planned(out, {}, reuse=other)
    run_planned(out, {}, reuse=other, threads=3)
    assert threads == [7, 7, 3]


def test_a_run_that_reuses_another_is_expected_to_take_as_long(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lefts: list[float] = []

    def heard(out: Path, settings: Any, *, listener: Any, **_: Any) -> None:
        lefts.append(listener.until - time.monotonic() if isinstance(listener, Countdown) else 0.0)

    seconds = {"search": 40.0, "retrain": 100.0}
    done: dict[str, dict[str, float]] = {"other": {}, "run": {}}
    monkeypatch.setattr(execute, "run", heard)

    def outcome(directory: RunDirectory, kind: Any) -> Any:
        known = done[directory.path.name]
        return SimpleNamespace(seconds=known[kind.stage]) if kind.stage in known else None

    monkeypatch.setattr(RunDirectory, "outcome", outcome)
    (tmp_path / "other").mkdir()
    (tmp_path / "other/config.yaml").write_text("data: {source: digits}\n")

    def reuse() -> None:
        run_planned(tmp_path / "run", {}, reuse=tmp_path / "other", compare=2)

    reuse()  # The other run has no winner yet.
    done["other"] = seconds
    reuse()
    done["run"] = {"search": 30.0}
    reuse()
    assert lefts == [0.0, pytest.approx(340, abs=5), pytest.approx(300, abs=5)]
