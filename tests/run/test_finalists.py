"""Short trainings of the best candidates."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest

from spos import Architecture, UserError
from spos.report.result import Winner, read_result
from spos.run import run
from spos.run.config import make_config
from spos.run.directory import RunDirectory
from spos.run.finalists import choose_finalists, plan_rungs, share_of_retraining
from spos.run.outcome import FinalistsOutcome, SearchOutcome
from spos.run.planning.plan import Plan
from spos.run.planning.schedule import Schedule
from spos.run.planning.speed import Line, Speed
from spos.search import Candidate

RECIPE = {"steps": 6, "batch_size": 16, "warmup_steps": 2}
GIVEN: dict[str, Any] = {
    "space": {"name": "plain", "preset": "tiny"},
    "layout": {"layers": 3, "filters": [4, 8]},
    "run": {"evaluation_batch": 64, "calibration": 64},
    "data": {"validation": 64},
    "supernet": RECIPE,
    "search": {"population": 6, "iterations": 1, "parents": 6},
    "finalists": {"count": 4, "share": 0.5},
    "retrain": {**RECIPE, "steps": 8},
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run; not to be written to."""
    out = tmp_path_factory.mktemp("finalists") / "run"
    run(out, GIVEN)
    return out


@pytest.mark.parametrize("count", [2, 3, 4, 5, 8, 9])
def test_every_rung_halves_the_networks_and_the_last_has_two(count: int) -> None:
    rungs = plan_rungs(count)
    assert rungs[0][0] == count and rungs[-1] == (2, 1.0)
    for (more, shorter), (fewer, longer) in pairwise(rungs):
        assert fewer == -(-more // 2) and longer == 2 * shorter


def test_the_best_of_the_last_rung_is_retrained(whole: Path) -> None:
    result = read_result(whole / "result.json")
    assert [len(one.rungs) for one in result.finalists].count(2) == 2
    steps = {rung.steps for one in result.finalists for rung in one.rungs}
    assert steps == {2, 4}
    last = [one for one in result.finalists if len(one.rungs) == 2]
    best = max(last, key=lambda one: one.rungs[-1].score)
    assert result.winner.architecture == best.architecture
    first = sorted(result.finalists, key=lambda one: -one.rungs[0].score)[:2]
    assert {one.architecture for one in first} == {one.architecture for one in last}
    trained = json.loads((whole / "retrain.json").read_text())
    assert trained["architecture"] == str(best.architecture)
    assert result.seconds["finalists"] > 0
    assert "The finalists" in (whole / "report.html").read_text()


def test_a_plan_leaves_time_for_their_steps(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = read_result(whole / "result.json")
    steps = sum(one.rungs[-1].steps for one in result.finalists)
    assert steps / GIVEN["retrain"]["steps"] == share_of_retraining(4, 0.5) == 1.5
    line = Line(0.0, 1e-9)
    plan = Plan(100.0, 1.0, 1000, 1e6, 1.0, Speed(1, line, line), (), ())
    monkeypatch.setattr(Schedule, "used", lambda *_: 50.0)

    def planned(count: int, uniform: float = 0.1) -> int:
        monkeypatch.setattr(Schedule, "_steps", lambda *_: (0.1, uniform))
        config = make_config({**GIVEN, "finalists": {"count": count, "share": 0.5}})
        directory = RunDirectory(whole)
        fitness = SimpleNamespace(by_metric=False)
        context = SimpleNamespace(config=config, directory=directory, fitness=fitness, frozen={})
        return int(Schedule(plan, 0.0)._retrain(context)["retrain"]["steps"])

    # In the time of four retrainings; with finalists of five and a half.
    assert planned(0) == planned(1) == pytest.approx(planned(4) * 5.5 / 4, abs=2)
    # And of six where the uniform network takes three times as long as the winner.
    assert planned(0) == pytest.approx(planned(0, 0.3) * 6 / 4, abs=2)


def test_without_them_the_first_candidate_is_retrained(tmp_path: Path) -> None:
    result = run(tmp_path / "run", {**GIVEN, "finalists": {}})
    assert result.finalists == () and result.winner.architecture == result.top[0].architecture


def test_a_stop_anywhere_changes_nothing(whole: Path, tmp_path: Path) -> None:
    from spos.run import finalists

    train, calls = finalists._train, []

    def stopping(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) % 2 == 0:
            raise KeyboardInterrupt
        return train(*arguments)

    with patch.object(finalists, "_train", stopping):
        for _ in range(20):
            try:
                pieces = run(tmp_path / "pieces", GIVEN)
                break
            except KeyboardInterrupt:
                continue
    assert len(calls) > 6
    undisturbed = read_result(whole / "result.json")
    assert pieces.finalists == undisturbed.finalists
    assert pieces.winner == undisturbed.winner


def test_a_scored_rung_is_not_scored_again_after_a_longer_training(
    whole: Path, tmp_path: Path
) -> None:
    shutil.copytree(whole, tmp_path / "run")
    directory = RunDirectory(tmp_path / "run")
    before = directory.outcome(FinalistsOutcome)
    assert before is not None
    for name in ("finalists", "retrain", "result"):
        (tmp_path / "run" / f"{name}.json").unlink()
    run(tmp_path / "run", GIVEN)
    again = directory.outcome(FinalistsOutcome)
    assert again is not None and replace(again, seconds=before.seconds) == before


def test_with_budgets_they_are_refused(tmp_path: Path) -> None:
    given = {**GIVEN, "constraint": {"budgets": {"flops": ["300K", "400K"]}}}
    with pytest.raises(UserError, match="finalists"):
        run(tmp_path / "run", given)
    assert not (tmp_path / "run").exists()


def test_a_score_that_is_no_number_is_told(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path / "run")
    for name in ("finalists", "short-*", "retrain", "result"):
        for path in (tmp_path / "run").glob(f"{name}.json"):
            path.unlink()
    # As of a metric that divides by zero.
    with (
        patch("spos.run.finalists.score", lambda *_: math.nan),
        pytest.raises(UserError, match=r"the score of architecture \S+ after 2 steps is nan: a sc"),
    ):
        run(tmp_path / "run", GIVEN)


def test_architectures_of_one_network_are_one_finalist() -> None:
    def candidate(options: list[int], score: float) -> Candidate:
        return Candidate(Architecture(options), 0, 0, "random", score)

    best = [candidate([0, 0], -1.0), candidate([0, 1], -1.0)]
    rest = [candidate([2, 0], -3.0), candidate([1, 1], -2.0), candidate([1, 0], -2.0)]
    found = SearchOutcome(
        seconds=0.0,
        winner=Winner(**vars(best[0])),
        top=tuple(best),
        candidates=(*rest, *best),
        evaluated=5,
        exhausted=False,
    )
    chosen = choose_finalists(found, 3, distinct=True)
    assert [one.score for one in chosen] == [-1.0, -2.0, -3.0]
    chosen = choose_finalists(found, 3, distinct=False)
    assert [str(one.architecture) for one in chosen] == ["0,0", "0,1", "1,1"]


def test_a_training_whose_scores_are_lost_begins_anew(whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(whole, out)
    expected = read_result(out / "result.json").finalists
    for path in (
        *out.glob("short-*.json"),
        *(out / f"{one}.json" for one in ("finalists", "retrain")),
    ):
        path.unlink()
    run(out, GIVEN)
    assert read_result(out / "result.json").finalists == expected


def test_the_scores_of_another_finalist_are_refused(whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(whole, out)
    for name in ("finalists", "retrain"):
        (out / f"{name}.json").unlink()
    one, other = sorted(out.glob("short-*.json"))[:2]
    shutil.copy(other, one)
    with pytest.raises(UserError, match=rf"{one.name} is of network .*; delete it to repeat"):
        run(out, GIVEN)
