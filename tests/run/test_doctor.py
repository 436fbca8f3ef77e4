"""The check whether a space can be searched."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml
from rich.console import Console

from spos import UserError
from spos._util.records import write_record
from spos.report.diagnosis import Diagnosis, SampledNetwork, StageEstimate, doctor_tables
from spos.report.measure import Measure
from spos.report.spread import measure_spread
from spos.run import doctor, latency, run
from spos.run.config import make_config
from spos.run.directory import RunDirectory
from spos.run.planning import diagnosing
from spos.run.planning.diagnosing import doctor_planned
from spos.run.planning.planner import Planner
from spos.run.planning.schedule import read_plan
from spos.run.planning.trainings import unhurried_steps

RECIPE = {"steps": 6, "batch_size": 16, "warmup_steps": 2}
GIVEN: dict[str, Any] = {
    "space": {"name": "plain", "preset": "tiny"},
    "layout": {"layers": 3, "filters": [4, 8]},
    "run": {"evaluation_batch": 64, "calibration": 64},
    "data": {"validation": 64},
    "supernet": RECIPE,
    "search": {"population": 4, "iterations": 1, "parents": 4},
    "finalists": {"count": 2},
    "retrain": RECIPE,
}


def test_the_variance_is_split_as_it_was_made() -> None:
    random = np.random.default_rng(0)
    true = random.normal(0.7, 0.03, 400)
    spread = measure_spread([[one + random.normal(0, 0.01) for _ in range(3)] for one in true])
    assert spread.networks == pytest.approx(0.03, rel=0.1)
    assert spread.trainings == pytest.approx(0.01, rel=0.1)
    assert spread.probability < 1e-6
    assert spread.reliability == pytest.approx(0.9, abs=0.03)


def test_trainings_alone_are_no_difference_of_networks() -> None:
    random = np.random.default_rng(1)
    found = [measure_spread(random.normal(0.7, 0.01, (12, 2)).tolist()) for _ in range(300)]
    assert np.mean([one.probability < 0.05 for one in found]) == pytest.approx(0.05, abs=0.03)


@pytest.mark.parametrize("count", [5, 12])
def test_the_upper_half_varies_as_all_do_where_both_halves_are_alike(count: int) -> None:
    random = np.random.default_rng(2)
    found = [
        measure_spread(
            (random.normal(0, 1, (count, 1)) + random.normal(0, 0.7, (count, 2))).tolist()
        )
        for _ in range(3000)
    ]
    # Less by the median, which is that of the networks themselves.
    assert 0.85 < np.mean([one.upper**2 for one in found]) < 1.05


def test_a_comparison_of_that_size_shows_the_difference() -> None:
    spread = measure_spread([[0.70, 0.71], [0.73, 0.74], [0.76, 0.75], [0.72, 0.70]])
    difference = 0.03
    count = spread.random_networks(difference, 2)
    assert count == 4
    one = spread.upper**2 + spread.trainings**2
    enough, fewer = (spread.trainings**2 / 2 + one / number for number in (4, 3))
    assert 2 * enough**0.5 <= difference < 2 * fewer**0.5
    assert spread.random_networks(spread.trainings / 100, 1) is None


def text(diagnosis: Diagnosis) -> str:
    console = Console(width=80, record=True, file=io.StringIO())
    for part in doctor_tables(diagnosis):
        console.print(part)
    return console.export_text()


def diagnosis(scores: list[tuple[float, ...]]) -> Diagnosis:
    return Diagnosis(
        cost="flops",
        band=(9e5, 1e6),
        steps=100,
        metric=Measure(),
        networks=tuple(
            SampledNetwork(str(place), {"flops": 950_000 + place}, row)
            for place, row in enumerate(scores)
        ),
        estimates=(StageEstimate("train", 90.0), StageEstimate("search", 30.0)),
    )


def test_it_says_whether_a_search_can_win() -> None:
    wins = text(diagnosis([(0.70, 0.71), (0.80, 0.81), (0.60, 0.61)]))
    assert "A search can gain about" in wins and "--compare" in wins and "2 min 0 s" in wins
    hardly = text(diagnosis([(0.70, 0.75), (0.76, 0.70), (0.72, 0.73)]))
    assert "A search has little to gain here" in hardly


@pytest.mark.parametrize(("chance", "learned"), [(0.10, True), (0.70, False), (None, True)])
def test_networks_at_chance_are_not_said_to_be_alike(chance: float | None, learned: bool) -> None:
    checked = replace(diagnosis([(0.70, 0.75), (0.76, 0.70), (0.72, 0.73)]), chance=chance)
    words = " ".join(checked.conclusions())
    assert ("little to gain" in words) is learned
    assert ("most frequent class for every image 70.0%" in words) is not learned


def test_its_trainings_are_those_of_the_finalists(tmp_path: Path) -> None:
    found = doctor(tmp_path / "run", GIVEN, networks=3, seeds=2)
    low, high = found.band
    assert all(low <= one.costs["flops"] <= high for one in found.networks)
    assert len({one.architecture for one in found.networks}) == 3
    page = (tmp_path / "run" / "doctor.html").read_text(encoding="utf-8")
    assert 'data-chart="seeds"' in page and all(one.architecture in page for one in found.networks)
    trainings = sorted((tmp_path / "run").glob("short-*.json"))
    assert len(trainings) == 6
    written = [path.stat().st_mtime_ns for path in trainings]
    again = doctor(tmp_path / "run", GIVEN, networks=4, seeds=2)
    assert again.networks[:3] == found.networks
    assert [path.stat().st_mtime_ns for path in trainings] == written


def test_finalists_are_the_same_with_and_without_its_trainings(tmp_path: Path) -> None:
    # Of the 4 networks of the space the check trains 3, so one of 2 finalists is among them.
    given = {
        **GIVEN,
        "layout": {"layers": 1, "filters": [4, 8], "kernels": [3]},
        "finalists": {"count": 2, "share": 1.0},
        "search": {**GIVEN["search"], "population": 4},
        "constraint": {"maximum": {"flops": 1e9}},
    }
    checked = doctor(tmp_path / "checked", given, networks=3, seeds=2)
    assert len(checked.networks) == 3
    trainings = len(list((tmp_path / "checked").glob("short-*.json")))
    after = run(tmp_path / "checked", given)
    assert len(list((tmp_path / "checked").glob("short-*.json"))) < trainings + 2
    assert after.finalists == run(tmp_path / "fresh", given).finalists


@pytest.mark.parametrize("name", ["networks", "seeds"])
def test_one_alone_has_no_spread(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=f"--{name} 1: must be at least 2"):
        doctor(tmp_path / "run", GIVEN, **{name: 1})
    assert not (tmp_path / "run").exists()


def test_networks_that_learn_nothing_do_not_promise_a_gain() -> None:
    good = [(0.90, 0.91), (0.91, 0.92), (0.92, 0.92), (0.93, 0.94)]
    found = diagnosis([*good, (0.10, 0.10), (0.10, 0.11)])
    assert 0 < found.gain < 0.1
    assert found.spread.median + found.gain <= 1


def test_trainings_are_as_long_as_those_of_the_run_that_follows(tmp_path: Path) -> None:
    out, told = tmp_path / "run", list[str]()
    given = {"data": {"source": "digits"}, "constraint": {"maximum": {"flops": "300K"}}}
    listener = SimpleNamespace(message=told.append, progress=lambda *_: None)

    def confirm(seconds: float) -> bool:
        told.append(f"asked {seconds > 0}")
        return False

    with pytest.raises(UserError, match=r"^not started; give --yes, fewer --networks, or "):
        doctor_planned(out, given, threads=1, listener=listener, confirm=confirm)
    assert told[-1] == "asked True"
    assert told[-2].startswith("expected: 24 trainings in ")
    assert not out.exists() or not any(out.glob("*.json"))
    given["retrain"] = {"steps": 20}
    checked = doctor_planned(out, given, networks=2, threads=1, listener=listener)
    assert checked.steps == 4
    settings = read_plan(out).complete(given)
    assert settings["space"]["name"] == "mobile"
    again = doctor_planned(out, given, networks=2, threads=1, listener=listener)
    assert again.networks == checked.networks


def test_without_the_steps_they_are_those_of_an_unhurried_retraining(tmp_path: Path) -> None:
    given = {"data": {"source": "digits"}}
    plan = Planner(given, None, threads=1).plan()
    steps = diagnosing._complete(plan, given, RunDirectory(tmp_path))["retrain"]["steps"]
    assert steps == unhurried_steps(plan.images, plan.complete(given)["retrain"]["batch_size"])
    assert steps < 5000


def test_a_run_within_a_time_has_trainings_of_no_known_length(tmp_path: Path) -> None:
    out, given = tmp_path / "run", {"data": {"source": "digits"}}
    told = {"networks": 2, "threads": 1}
    with pytest.raises(UserError, match=r"^--seeds 1: must be at least 2"):
        doctor_planned(out, given, seeds=1, **told)
    plan = Planner(given, 20, threads=1).plan()
    with RunDirectory(out).open():
        write_record(out / "plan.json", plan)
        RunDirectory(out).write_config(make_config(plan.complete(given)).as_plain())
    before = (out / "config.yaml").read_text()
    settings = yaml.safe_load(before)
    del settings["retrain"]["steps"]
    (out / "config.yaml").write_text(yaml.safe_dump(settings))
    with pytest.raises(UserError, match=r"run has --time 20.0 s, and chooses the length of its"):
        doctor_planned(out, given, **told)
    # What was planned for one limit is not for a smaller one.
    limited = {**given, "constraint": {"maximum": {"flops": "1K"}}}
    with pytest.raises(UserError, match=r"^flops at most 1.000K: the run was planned for "):
        plan.complete(limited)


def test_a_limit_of_the_latency_is_measured_for_the_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(latency, "QUICK_ROUNDS", 2)
    monkeypatch.setattr(latency, "QUICK_NETWORKS", 4)
    given = {**GIVEN, "constraint": {"maximum": {"latency": "10s"}}}
    checked = doctor_planned(tmp_path / "run", given, networks=2, threads=1)
    assert checked.cost == "latency"
    assert (tmp_path / "run/latency.json").exists()
