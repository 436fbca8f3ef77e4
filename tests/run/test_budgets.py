"""One supernet and many budgets, or a front."""

from __future__ import annotations

import json
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import optuna
import pytest
from rich.console import Console

from spos import UserError
from spos.report import result_tables
from spos.report.result import Result
from spos.run import run
from spos.run.directory import RunDirectory
from spos.run.outcome import SearchOutcome

RECIPE = {"steps": 6, "batch_size": 16, "warmup_steps": 2}
GIVEN: dict[str, Any] = {
    "space": {"name": "plain", "preset": "tiny"},
    "layout": {"layers": 3, "filters": [4, 8]},
    "data": {"source": "digits", "validation": 64},
    "run": {"evaluation_batch": 64, "calibration": 64},
    "supernet": RECIPE,
    "search": {"population": 4, "iterations": 2, "parents": 2},
    "retrain": RECIPE,
}
BUDGETS = {"constraint": {"budgets": {"flops": [40_000, 60_000, 80_000]}}}
FRONT = {"search": {**GIVEN["search"], "pareto": ["flops", "strides"]}}
SEARCH = ("train", "search")


def search_of(out: Path) -> SearchOutcome:
    found = RunDirectory(out).outcome(SearchOutcome)
    assert found is not None
    return found


def trials(out: Path) -> list[optuna.trial.FrozenTrial]:
    """Of the study of accuracies."""
    storage = f"sqlite:///{out}/study.db"
    names = [summary.study_name for summary in optuna.get_all_study_summaries(storage)]
    (name,) = [name for name in names if "-front-" not in name]
    return optuna.load_study(study_name=name, storage=storage).trials


class Stop:
    """A listener that interrupts a stage at some step of it."""

    def __init__(self, stage: str, at: int) -> None:
        self.stage, self.at, self.heard = stage, at, 0

    def message(self, text: str) -> None:
        pass

    def progress(self, stage: str, done: int, total: int, detail: str) -> None:
        self.heard += stage == self.stage
        if self.heard == self.at:
            self.at = -1
            raise KeyboardInterrupt


def without_times(result: Result) -> Result:
    return replace(result, seconds={})


def text_of(result: Result) -> str:
    console = Console(width=120, file=StringIO())
    for table in result_tables(result):
        console.print(table)
    file = console.file
    assert isinstance(file, StringIO)
    return file.getvalue()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """A run for three budgets; not to be written to."""
    out = tmp_path_factory.mktemp("budgets") / "run"
    return out, run(out, {**GIVEN, **BUDGETS})


def test_every_budget_has_its_network(finished: tuple[Path, Result]) -> None:
    out, result = finished
    found, rows = search_of(out), result.budgets
    assert [row.maximum for row in rows] == [{"flops": 4e4}, {"flops": 6e4}, {"flops": 8e4}]
    for row, budget in zip(rows, found.budgets, strict=True):
        assert row.winner.costs["flops"] <= row.maximum["flops"]
        assert all(c.costs["flops"] <= row.maximum["flops"] for c in budget.top)
        assert row.winner.score == max(c.score for c in budget.top)
        assert 0 <= row.test_score <= 1
        assert budget.candidates == 8
    # What is found for a budget is known to the next one, so that none is worse.
    assert sorted(row.winner.score for row in rows) == [row.winner.score for row in rows]
    assert rows[-1].winner.architecture == result.winner.architecture
    assert rows[-1].test_score == result.retrain.test_score
    assert found.winner == found.budgets[-1].winner
    assert result.constraint.maximum == {"flops": 8e4}


def test_every_evaluation_is_paid_once(finished: tuple[Path, Result]) -> None:
    out, result = finished
    found, known = search_of(out), [trial.user_attrs["architecture"] for trial in trials(out)]
    assert len(known) == len(set(known)) == result.search.evaluated
    paid = [budget.evaluated for budget in found.budgets]
    # The first population of a larger budget is known, and of the second some may be.
    assert paid[0] == 8 and all(0 < count <= 4 for count in paid[1:])
    assert [c.origin for c in found.candidates[:4]] == ["known"] * 4


def test_an_architecture_is_retrained_once(finished: tuple[Path, Result]) -> None:
    out, result = finished
    stages = {path.stem for path in out.glob("retrain*.json")}
    assert len(stages) == len({row.winner.architecture for row in result.budgets})
    assert "retrain" in stages
    spent = sum(json.loads((out / f"{stage}.json").read_text())["seconds"] for stage in stages)
    assert spent <= result.seconds["retrain"] <= spent + 60


def test_the_budgets_are_shown_and_reported(finished: tuple[Path, Result]) -> None:
    out, result = finished
    shown, page = text_of(result), (out / "report.html").read_text()
    assert "One network for each budget" in shown
    assert "One network for each budget" in page
    for row in result.budgets:
        text = str(row.winner.architecture)
        assert text in shown and text in page


def test_each_is_what_a_search_of_its_own_finds(
    finished: tuple[Path, Result], tmp_path: Path
) -> None:
    found = search_of(finished[0])
    before: Path | None = None
    for number, budget in enumerate(found.budgets):
        out = tmp_path / str(number)
        bounds = {"constraint": {"maximum": budget.maximum}}
        run(out, {**GIVEN, **bounds}, SEARCH if before is None else ("search",), reuse=before)
        alone = search_of(out)
        for name in ("winner", "top", "evaluated"):
            assert getattr(alone, name) == getattr(budget, name), (number, name)
        before = out
    assert alone.candidates == found.candidates


@pytest.mark.parametrize(("stage", "at"), [("search", 11), ("retrain-1", 1)])
def test_an_interrupted_run_finds_the_same(
    finished: tuple[Path, Result], tmp_path: Path, stage: str, at: int
) -> None:
    out, given = tmp_path / "run", {**GIVEN, **BUDGETS}
    with pytest.raises(KeyboardInterrupt):
        run(out, given, listener=Stop(stage, at))
    assert without_times(run(out, given)) == without_times(finished[1])
    assert len(trials(out)) == len(trials(finished[0]))


def test_a_budget_that_no_network_satisfies_is_refused_before_training(tmp_path: Path) -> None:
    bounds = {"constraint": {"budgets": {"flops": [1_000, 60_000]}}}
    with pytest.raises(UserError, match=r"no network .* satisfies max flops 1\.000K: reachable"):
        run(tmp_path / "run", {**GIVEN, **bounds})
    assert not (tmp_path / "run").exists()


def test_a_front(tmp_path: Path) -> None:
    out = tmp_path / "run"
    result = run(out, {**GIVEN, **FRONT, "constraint": {"maximum": {"flops": 1e5}}})
    found, front = search_of(out), result.front
    assert front == found.front
    assert [row.costs["flops"] for row in front] == sorted(row.costs["flops"] for row in front)
    assert result.search.pareto == ("flops", "strides")
    assert result.search.algorithm == "nsga2"
    assert all(c.costs["flops"] <= 1e5 for c in found.candidates)
    assert result.winner.architecture in {row.architecture for row in front}
    assert result.winner.score == max(row.score for row in front)
    shown, page = text_of(result), (out / "report.html").read_text()
    assert "Front, from the cheapest" in shown and "The front" in page
    for row in front:
        assert str(row.architecture) in shown and str(row.architecture) in page
    # A later search under one bound begins with what is known.
    bounds = {"constraint": {"maximum": {"flops": front[0].costs["flops"]}}}
    after = tmp_path / "after"
    run(after, {**GIVEN, **bounds}, ("search",), reuse=out)
    assert search_of(after).candidates[0].origin == "known"


def test_a_cost_that_there_is_not_is_refused_before_training(tmp_path: Path) -> None:
    given = {**GIVEN, "search": {"pareto": ["flop"]}}
    with pytest.raises(UserError, match="unknown cost 'flop': did you mean 'flops'"):
        run(tmp_path / "run", given)
    assert not (tmp_path / "run").exists()
