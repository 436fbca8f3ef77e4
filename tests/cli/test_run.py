"""``spos run``, its stages one by one, and ``spos show``."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path

import optuna
import yaml
from commands import SAVED_ONCE, SMALL, STEPS, Ended, Started, files_of, result_of
from safetensors import safe_open

from spos.space import Choice, SearchSpace

Cli = Callable[..., Ended]


def test_the_result_holds_what_was_asked_and_what_was_found(finished_run: Path) -> None:
    result = json.loads((finished_run / "result.json").read_text())
    assert result["constraint"] == {
        "text": "flops <= 130.0K",
        "maximum": {"flops": 130_000.0},
        "minimum": {},
        "reason": "",
    }
    assert result["space"]["preset"] == "tiny"
    assert result["space"]["size"] == str(4**3)
    assert (result["data"]["train"], result["data"]["validation"]) == (1374, 64)
    assert result["seeds"] == {"run": 0, "search": 0}
    assert set(result["versions"]) >= {"python", "torch", "lightning-fabric", "optuna", "numpy"}
    assert set(result["seconds"]) == {"train", "search", "retrain", "compare"}
    assert all(seconds > 0 for seconds in result["seconds"].values())
    assert (result["search"]["evaluated"], result["search"]["exhausted"]) == (18, False)
    assert result["retrain"]["steps"] == STEPS
    assert 0 < result["retrain"]["test_score"] < 1
    assert (result["device"], result["devices"]) == ("cpu", 1)


def test_the_winner_is_the_best_candidate_and_within_the_constraint(finished_run: Path) -> None:
    result = json.loads((finished_run / "result.json").read_text())
    winner, top = result["winner"], result["top"]
    space = SearchSpace(
        Choice(choice["name"], tuple(choice["options"])) for choice in result["space"]["choices"]
    )
    assert str(space.from_names(winner["names"])) == winner["architecture"]
    assert winner["score"] == max(candidate["score"] for candidate in top)
    assert len(top) == 3
    assert all(candidate["costs"]["flops"] <= 130_000 for candidate in top)
    assert sum(stage["costs"]["flops"] for stage in winner["stages"]) == winner["costs"]["flops"]
    assert sum(stage["costs"]["params"] for stage in winner["stages"]) == winner["costs"]["params"]


def test_the_comparison_is_with_networks_of_about_the_winners_cost(finished_run: Path) -> None:
    result = json.loads((finished_run / "result.json").read_text())
    winner, comparison = result["winner"], result["comparison"]
    assert len({network["architecture"] for network in comparison["networks"]}) == 2
    for network in comparison["networks"]:
        assert network["architecture"] != winner["architecture"]
        assert abs(network["costs"]["flops"] / winner["costs"]["flops"] - 1) <= 0.05
        assert network["costs"]["flops"] <= 130_000
        assert 0 < network["test_score"] < 1
    assert comparison["found_test_score"] == result["retrain"]["test_score"]
    scores = [network["test_score"] for network in comparison["networks"]]
    assert math.isclose(comparison["random_mean"], sum(scores) / 2)


def test_a_run_leaves_its_settings_curves_study_checkpoints_and_report(finished_run: Path) -> None:
    config = yaml.safe_load((finished_run / "config.yaml").read_text())
    assert config["supernet"]["steps"] == STEPS
    assert config["constraint"]["maximum"] == {"flops": 130_000.0}
    metrics = [json.loads(line) for line in (finished_run / "metrics.jsonl").open()]
    stages = ["train", "retrain", "compare-uniform", "compare-1", "compare-2"]
    recorded = list(dict.fromkeys(metric["stage"] for metric in metrics))
    assert recorded == ["train", "evaluation", *stages[1:]]
    for stage in stages:
        steps = [metric["step"] for metric in metrics if metric["stage"] == stage]
        assert steps == sorted(set(steps))
        assert steps[-1] == STEPS
        assert list((finished_run / "tensorboard" / stage).glob("events.out.tfevents.*"))
    for folder in ("supernet", "retrain", "compare-1", "compare-2"):
        newest = max((finished_run / folder).glob("step-*.safetensors"))
        assert newest.name == f"step-{STEPS:08d}.safetensors"
        assert len(list((finished_run / folder).iterdir())) == 2
        with safe_open(newest, framework="pt") as file:
            assert json.loads(file.metadata()["spos"])["step"] == STEPS
    (study,) = optuna.get_all_study_names(f"sqlite:///{finished_run}/study.db")
    trials = optuna.load_study(
        study_name=study, storage=f"sqlite:///{finished_run}/study.db"
    ).get_trials()
    assert len(trials) == 18
    assert {trial.state.name for trial in trials} == {"COMPLETE"}
    report = (finished_run / "report.html").read_text()
    winner = json.loads((finished_run / "result.json").read_text())["winner"]
    assert report.lstrip().startswith("<!")
    assert winner["architecture"] in report
    # Every candidate can be drawn with its costs.
    search = json.loads((finished_run / "search.json").read_text())
    stages, places = search["stages"]["distinct"], search["stages"]["places"]
    for one in search["candidates"]:
        own = [stages[int(place)] for place in places[one["architecture"]].split(",")]
        assert sum(stage["costs"]["flops"] for stage in own) == one["costs"]["flops"]
    assert re.search(r'<template id="boxes"><li data-row="[^"]+" data-flops="\d+">', report)


def test_show_prints_the_result_for_people_and_for_programs(cli: Cli, finished_run: Path) -> None:
    result = json.loads((finished_run / "result.json").read_text())
    table = cli("show", finished_run)
    assert (table.status, table.err) == (0, "")
    assert result["winner"]["architecture"] in table.out
    assert "130.0K" in table.out
    raw = cli("show", finished_run, "--json")
    assert (raw.status, raw.err) == (0, "")
    assert json.loads(raw.out) == result


def test_a_finished_command_does_nothing_again(cli: Cli, finished: Path) -> None:
    # The log of the study is merged by whoever reads it last.
    rewritten = {"result.json", "report.html", ".lock", "study.db-shm", "study.db-wal"}
    before = {
        name: (finished / name).stat().st_mtime_ns
        for name in files_of(finished)
        if name not in rewritten
    }
    result = result_of(finished)
    again = cli("run", *SMALL, "--max-flops", "130K", "--compare", "2", "--out", finished)
    assert (again.status, again.err) == (0, "")
    assert result["winner"]["architecture"] in again.out
    assert result_of(finished) == result
    after = {
        name: (finished / name).stat().st_mtime_ns
        for name in files_of(finished)
        if name not in rewritten
    }
    assert after == before


def test_what_is_left_out_is_taken_from_the_disk(cli: Cli, finished: Path) -> None:
    again = cli("run", "--out", finished)
    assert (again.status, again.err) == (0, "")


def test_the_stages_one_by_one_find_what_a_whole_run_finds(
    start: Callable[..., Started], finished_run: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    # What is given for the search is remembered, though only its stage depends on it.
    training = start("train", *SMALL, *SAVED_ONCE, "--out", out).wait()
    assert training.status == 0, training.err
    assert json.loads((out / "result.json").read_text())["winner"] is None
    assert start("search", "--max-flops", "130K", "--out", out).wait().status == 0
    assert not (out / "retrain").exists()
    assert start("retrain", *SMALL, *SAVED_ONCE, "--out", out).wait().status == 0
    separate, whole = result_of(out), result_of(finished_run)
    # A run is named by what it began with, which is more in a whole one.
    assert separate.pop("run") != whole.pop("run")
    assert separate.pop("comparison") is None
    assert whole.pop("comparison") is not None
    assert separate == whole
    # A comparison on top of it changes nothing else.
    before = {name: (out / name).stat().st_mtime_ns for name in ("study.db", "search.json")}
    assert start("run", "--compare", "2", *SAVED_ONCE, "--out", out).wait().status == 0
    compared = [result_of(one) for one in (out, finished_run)]
    assert [one.pop("run") for one in compared] == [
        json.loads((one / "data.json").read_text())["run"] for one in (out, finished_run)
    ]
    assert compared[0] == compared[1]
    assert {name: (out / name).stat().st_mtime_ns for name in before} == before


def test_another_seed_finds_something_else_by_random_search_too(
    start: Callable[..., Started], finished_run: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    ended = start(
        *("run", *SMALL, "--max-flops", "130K", "--seed", "1", "--algorithm", "random"),
        *(*SAVED_ONCE, "--out", out),
    ).wait()
    assert ended.status == 0, ended.err
    other, first = result_of(out), result_of(finished_run)
    assert (other["search"]["algorithm"], other["seeds"]["run"]) == ("random", 1)
    assert {candidate["origin"] for candidate in other["top"]} == {"random"}
    assert other["winner"]["costs"]["flops"] <= 130_000
    assert other["data"]["fingerprint"] != first["data"]["fingerprint"]
    # Of 64 images, so that single scores may be equal.
    scores = [[candidate["score"] for candidate in one["top"]] for one in (other, first)]
    assert scores[0] != scores[1]
    assert other["retrain"]["test_score"] != first["retrain"]["test_score"]


def test_another_interval_between_checkpoints_is_the_same_run(cli: Cli, finished: Path) -> None:
    again = cli("run", "--set", "run.save_every=30", "--data-workers", "2", "--out", finished)
    assert (again.status, again.err) == (0, "")
