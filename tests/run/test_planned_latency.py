"""Runs that bound the latency without a latency table: it is measured for them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from spos._util.errors import UserError
from spos._util.listener import Silent
from spos.run import latency as measuring
from spos.run.planning import planner as planning
from spos.run.planning.execute import run_planned
from spos.run.planning.planner import Planner
from spos.run.planning.speed import Line, Speed

SPEED = Speed(1, Line(0.01, 1 / 3e9), Line(0.003, 1 / 9e9))
RECIPE = {"steps": 4, "batch_size": 16}
GIVEN: dict[str, Any] = {
    "layout": {"channels": [16, 32], "depths": [1, 2]},
    "run": {"evaluation_batch": 64, "calibration": 64},
    "data": {"validation": 64},
    "supernet": RECIPE,
    "search": {"population": 4, "iterations": 1, "parents": 4},
    "retrain": RECIPE,
    # Above what any of these networks takes, on a machine however busy.
    "constraint": {"maximum": {"latency": "10s"}},
}


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("latency") / "run"
    run_planned(folder, GIVEN)
    return folder


@pytest.fixture
def nothing_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **more: Any) -> None:
        raise AssertionError("the latency is measured again")

    monkeypatch.setattr(measuring, "measure_file", refuse)


def test_the_run_keeps_a_table_that_is_corrected_by_whole_networks(measured: Path) -> None:
    table = json.loads((measured / "latency.json").read_text())
    assert table["fit"]["networks"] == measuring.QUICK_NETWORKS
    result = json.loads((measured / "result.json").read_text())
    assert 0 < result["winner"]["costs"]["latency"] < 10e9


@pytest.mark.usefixtures("nothing_is_measured")
def test_the_same_command_again_measures_nothing(measured: Path) -> None:
    before = (measured / "result.json").read_text()
    run_planned(measured, GIVEN)
    assert (measured / "result.json").read_text() == before


@pytest.mark.usefixtures("nothing_is_measured")
def test_another_limit_reuses_the_table(measured: Path) -> None:
    slow = {"constraint": {"maximum": {"latency": "9s"}}}
    out = measured.parent / "reused"
    result = run_planned(out, slow, reuse=measured)
    assert result.constraint.maximum == {"latency": 9e9}
    assert (out / "latency.json").read_bytes() == (measured / "latency.json").read_bytes()
    # The other run may be moved meanwhile, with the table that is named by its place.
    moved = measured.rename(measured.parent / "moved")
    try:
        assert run_planned(out, slow, reuse=moved) == result
    finally:
        moved.rename(measured)


def test_a_table_of_the_user_is_not_measured_again(measured: Path, tmp_path: Path) -> None:
    given = {"constraint": {"latency_table": str(measured / "latency.json")}}
    seen = measuring.measure_for_run(
        tmp_path / "run", given, reuse=None, facts=None, accelerator="cpu", listener=Silent()
    )
    assert seen is given


def test_a_limit_of_the_latency_chooses_narrower_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "measure_speed", lambda *_: SPEED)
    monkeypatch.setattr(planning, "latency_line", lambda *_: Line(1e-3, 1e-9))
    given = {"data": {"source": "digits"}}
    free = Planner(given, 3600).plan()
    bounded = {**given, "constraint": {"maximum": {"latency": "1.2ms"}}}
    limited = Planner(bounded, 3600).plan()
    assert limited.flops < 0.5 * free.flops
    reasons = {choice.setting: choice.reason for choice in limited.choices}
    assert "fast enough" in reasons["constraint.maximum"]
    chosen = {choice.setting: choice.value for choice in limited.choices}
    assert chosen["constraint.maximum"]["latency"] == 1.2e6


def test_a_limit_that_no_network_satisfies_leaves_nothing_behind(tmp_path: Path) -> None:
    given = {**GIVEN, "constraint": {"maximum": {"latency": "1us"}}}
    with pytest.raises(UserError, match="no network of this space satisfies max latency 1us"):
        run_planned(tmp_path / "run", given)
    assert not (tmp_path / "run").exists()
