"""Runs that bound the latency without a latency table: it is measured for them."""

from __future__ import annotations

import copy
import dataclasses
import json
import multiprocessing
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from torch import nn

import spos
from spos import OneOf, Supernet
from spos._util.errors import UserError
from spos._util.listener import Silent
from spos.cost.latency import LatencyTable, measure_latency
from spos.cost.latency.agreement import Agreement
from spos.cost.latency.record import Fit
from spos.cost.latency.validate import ValidatedTable
from spos.report.result import read_result
from spos.run import latency as measuring
from spos.run import run
from spos.run.directory import RunDirectory
from spos.run.planning import capacity, networks
from spos.run.planning.execute import run_planned
from spos.run.planning.planner import Planner
from spos.run.planning.speed import Line, Speed
from spos.spaces import family

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


@pytest.mark.usefixtures("nothing_is_measured")
@pytest.mark.parametrize("ending", ["Ctrl-C", "kill"])
def test_a_run_that_ended_while_it_copied_another_goes_on(
    measured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    def end(*_: object) -> None:
        if ending == "kill":
            os._exit(9)
        raise KeyboardInterrupt

    def begin() -> None:
        monkeypatch.setattr(RunDirectory, "finish", end)
        with suppress(KeyboardInterrupt):
            run_planned(tmp_path / "run", {}, reuse=measured)

    child = multiprocessing.get_context("fork").Process(target=begin)
    child.start()
    child.join()
    left = {path.name for path in (tmp_path / "run").glob("*")}
    assert ("supernet" in left) == ("config.yaml" in left) == (ending == "kill")
    assert "train.json" not in left
    if ending == "kill":
        with pytest.raises(UserError, match="the copy of another run was cut short: --reuse"):
            run(tmp_path / "run", {}, ("train",))
    found = run_planned(tmp_path / "run", {}, reuse=measured)
    assert found.winner == read_result(measured / "result.json").winner


def test_a_table_without_its_correction_is_corrected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    def measure(limit: str) -> int:
        given = {**GIVEN, "constraint": {"maximum": {"latency": limit}}}
        told = {"reuse": None, "facts": None, "accelerator": "cpu", "listener": Silent()}
        settings = measuring.measure_for_run(tmp_path / "run", given, **told)
        table = Path(settings["constraint"]["latency_table"])
        networks: int = json.loads(table.read_text())["fit"]["networks"]
        return networks

    # A run that was started.
    run(tmp_path / "run", {**GIVEN, "constraint": {}}, ("train",))
    with monkeypatch.context() as patch:
        patch.setattr(measuring, "validate_file", end)
        with pytest.raises(KeyboardInterrupt):
            measure("10s")
    assert measure("10s") == measuring.QUICK_NETWORKS


@pytest.mark.parametrize(
    ("before", "after", "intercept", "used"),
    [(0.6, 0.1, 1000, True), (0.1, 0.6, 1000, False), (0.6, 0.1, -(10**12), False)],
)
def test_a_fit_is_used_where_it_predicts_better(
    measured: Path, before: float, after: float, intercept: int, used: bool
) -> None:
    table = LatencyTable.read(measured / "latency.json")
    errors = [Agreement(8, error, 0.0, None, None) for error in (before, after, 0.0)]
    fit = Fit(intercept, 0, 8)
    result = ValidatedTable(dataclasses.replace(table, fit=Fit()), fit, (), *errors, "")
    sizes = {"channels": (16, 32), "depths": (1, 2)}
    layout = dataclasses.replace(family("shufflenetv2").preset("tiny"), **sizes)
    supernet = family("shufflenetv2").build(layout, classes=10, image_channels=1)
    assert measuring.choose_fit(result, supernet).fit == (fit if used else Fit(networks=8))


def test_the_latency_of_few_networks_is_bounded_as_well(tmp_path: Path) -> None:
    kernels = OneOf({str(size): nn.Conv2d(1, 4, size, padding=size // 2) for size in (1, 3, 5)})
    model = nn.Sequential(kernels, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    model.append(nn.Linear(4, 10))
    settings = {name: GIVEN[name] for name in ("supernet", "retrain", "run")}
    settings["search"] = {"population": 2, "iterations": 1, "parents": 1}
    bounded = {"limits": {"latency": "10s"}, "settings": settings, "threads": 1}
    found = spos.search(model, "digits", **bounded, out=tmp_path / "run")
    assert 0 < found.costs["latency"] < 10e9
    # One that a script has measured has no name of a space.
    table = tmp_path / "table.json"
    measure_latency(Supernet(copy.deepcopy(model), (1, 8, 8)), table, rounds=2)
    settings["constraint"] = {"latency_table": str(table)}
    again = spos.search(model, "digits", **bounded, out=tmp_path / "again")
    assert 0 < again.costs["latency"] < 10e9


def test_a_table_of_the_user_is_not_measured_again(measured: Path, tmp_path: Path) -> None:
    given = {"constraint": {"latency_table": str(measured / "latency.json")}}
    seen = measuring.measure_for_run(
        tmp_path / "run", given, reuse=None, facts=None, accelerator="cpu", listener=Silent()
    )
    assert seen is given


def test_a_limit_of_the_latency_chooses_narrower_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capacity, "measure_speed", lambda *_: SPEED)
    monkeypatch.setattr(networks, "latency_line", lambda *_: Line(1e-3, 1e-9))
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


def test_a_correction_below_no_time_is_left_out(
    measured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "cpu.json"
    shutil.copy(measured / "latency.json", path)
    table = dataclasses.replace(LatencyTable.read(path), fit=Fit())
    agreed = [Agreement(8, 0.1, 0.0, None, None)] * 3

    def fit(intercept: int) -> Fit:
        result = ValidatedTable(table, Fit(intercept, 0, 8), (), *agreed, "")
        monkeypatch.setattr(measuring, "validate", lambda *_, **__: result)
        monkeypatch.setattr(measuring, "validation_page", lambda _: "")
        measuring.validate_file(path, listener=Silent(), fit=True)
        return LatencyTable.read(path).fit

    assert fit(1000) == Fit(1000, 0, 8)
    assert fit(-(10**12)) == Fit(networks=8)
