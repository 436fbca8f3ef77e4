"""A run whose search trains the weights itself: from images to a retrained network."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from spos._util.errors import UserError
from spos._util.listener import Silent
from spos.cost import CostTable
from spos.cost.latency import measure_latency
from spos.report.facts import TrainFacts
from spos.report.result import Result, read_result
from spos.run import run
from spos.run.latency import resolve_source
from spos.training.checkpoint import Checkpoints

RECIPE = {"steps": 12, "batch_size": 16, "warmup_steps": 2}
GIVEN: dict[str, Any] = {
    "space": {"preset": "tiny"},
    "layout": {"channels": [16, 24], "depths": [1, 1]},
    "data": {"source": "digits", "validation": 64},
    "run": {"evaluation_batch": 64, "calibration": 64},
    "supernet": RECIPE,
    "retrain": RECIPE,
    "search": {"algorithm": "fbnet"},
    "constraint": {"maximum": {"flops": "130K"}},
}


def given(**sections: dict[str, Any]) -> dict[str, Any]:
    return {
        name: {**GIVEN.get(name, {}), **sections.get(name, {})} for name in {**GIVEN, **sections}
    }


def without_times(out: Path) -> Result:
    return replace(read_result(out / "result.json"), seconds={})


def lines(out: Path, stage: str) -> list[dict[str, Any]]:
    found = map(json.loads, (out / "metrics.jsonl").read_text().splitlines())
    return [line for line in found if line["stage"] == stage]


class Interrupted(Silent):
    """Simulates a kill after some steps of a training."""

    def __init__(self, after: int) -> None:
        self.after = after

    def progress(self, stage: str, done: int, total: int, detail: str) -> None:
        if stage == "train" and total == 12 and done >= self.after:
            raise RuntimeError("killed")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("fbnet") / "run"
    run(out, given())
    return out


def test_a_run_trains_theta_derives_and_retrains(finished: Path) -> None:
    result = without_times(finished)
    winner = result.winner
    assert result.search.algorithm == "fbnet"
    assert winner.origin == "argmax"
    assert winner.costs["flops"] <= 130_000
    assert sum(stage.costs["flops"] for stage in winner.stages) == winner.costs["flops"]
    assert winner.score < 0 <= winner.metric_score <= 1
    assert 0 < result.retrain.test_score < 1
    assert set(json.loads((finished / "result.json").read_text())["seconds"]) == {
        "train",
        "search",
        "retrain",
    }
    assert result.train == TrainFacts(12, "fbnet", "FBNet")
    assert lines(finished, "train")[-1]["step"] == 12 and not lines(finished, "search")
    loaded = Checkpoints(finished / "supernet").load()
    assert loaded is not None
    assert loaded.step == 12
    found = json.loads((finished / "search.json").read_text())
    for place, (name, shares) in enumerate(found["probabilities"].items()):
        assert tuple(shares) == result.space.choices[place].options, name
        assert sum(shares.values()) == pytest.approx(1, abs=1e-5)
    assert (found["cost"], found["unit"]) == ("flops", 1e3)


def test_theta_is_recorded_and_drawn(finished: Path) -> None:
    records = lines(finished, "theta")
    assert [record["step"] for record in records] == list(range(13))
    assert records[0]["temperature"] == 5.0
    assert records[0]["entropy"] == pytest.approx([1.386294] * 2, abs=1e-5)
    assert records[-1]["probabilities"] != records[0]["probabilities"]
    assert 50_000 < records[-1]["expected_cost"] < 300_000
    page = (finished / "report.html").read_text()
    assert "How the choice was learned" in page
    assert page.count('data-chart="choice-') == 2
    assert "FBNet trained the weights and the choice" in page


def test_done_again_nothing_is_done(finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(finished, out)
    before = (out / "metrics.jsonl").read_text()
    run(out, {})
    assert (out / "metrics.jsonl").read_text() == before
    assert without_times(out) == without_times(finished)


def test_a_run_that_was_killed_finds_the_same(finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    always = {"run": {**GIVEN["run"], "save_every": 0}}
    with pytest.raises(RuntimeError, match="killed"):
        run(out, given(**always), listener=Interrupted(7))
    run(out, given(**always))
    assert without_times(out) == without_times(finished)
    assert lines(out, "theta") == lines(finished, "theta")
    left, right = (Checkpoints(path / "supernet").load() for path in (out, finished))
    assert left is not None and right is not None
    assert left.tensors.keys() == right.tensors.keys()
    assert all(left.tensors[name].equal(right.tensors[name]) for name in left.tensors)


def test_its_weights_score_random_networks_for_a_comparison(finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(finished, out)
    result = run(out, {}, compare=1)
    (network,) = result.comparison.networks
    assert network.costs["flops"] <= 130_000
    assert network.architecture != result.winner.architecture


@pytest.mark.parametrize("algorithm", ["darts", "proxylessnas"])
def test_the_best_of_several_samples_wins(tmp_path: Path, algorithm: str) -> None:
    sections = given(
        search={"algorithm": algorithm},
        differentiable={"derive": "sample", "samples": 6, "charge": "above-limit"},
    )
    result = run(tmp_path / "run", sections, ("search",))
    assert [row.origin for row in result.top].count("argmax") == 1
    assert [row.origin for row in result.top].count("sampled") == 5
    assert all(row.costs["flops"] <= 130_000 for row in result.top)
    scores = [row.score for row in result.top]
    assert scores == sorted(scores, reverse=True)
    assert result.winner.score == scores[0]


def test_with_a_latency_table_the_loss_is_about_latency(tmp_path: Path) -> None:
    settings = ("layout.channels=[16,24]", "layout.depths=[1,1]")
    source = resolve_source(
        space="shufflenetv2",
        preset="tiny",
        assignments=settings,
        classes=10,
        image_channels=1,
    )
    path = tmp_path / "cpu.json"
    facts = {"space": source.space, "preset": source.preset, "layout": source.layout}
    table = measure_latency(source.build(), path, **facts, rounds=1)
    costs = CostTable(source.build(), counter=table.counter(source.build()))
    low, high = costs.range()["latency"]
    constraint = {"maximum": {"flops": "130K"}, "latency_table": str(path)}
    run(tmp_path / "run", given(constraint=constraint), ("search",))
    found = json.loads((tmp_path / "run" / "search.json").read_text())
    assert (found["cost"], found["unit"]) == ("latency", 1e3)
    assert low < lines(tmp_path / "run", "theta")[-1]["expected_cost"] < high


def test_the_joint_form_needs_no_cost_and_no_images_of_its_own(tmp_path: Path) -> None:
    joint = {"form": "joint", "theta_images": 0.999}
    sections = given(search={"algorithm": "darts"}, differentiable=joint)
    run(tmp_path / "run", sections, ("search",))
    records = lines(tmp_path / "run", "theta")
    assert "expected_cost" not in records[-1]
    assert records[-1]["probabilities"] != records[0]["probabilities"]


@pytest.mark.parametrize(
    ("sections", "options", "told"),
    [
        ({"space": {"name": "plain"}, "layout": {}}, {}, "choice 'layer1.filters' is a Width"),
        ({}, {"devices": 2}, "--devices 2: --algorithm fbnet trains in one process"),
        ({"run": {"precision": "16-mixed"}}, {}, "16-mixed"),
        ({"constraint": {"storage": "sqlite:///x.db"}}, {}, "stores no evaluations"),
        ({"search": {"pareto": ["flops"]}}, {}, "finds one network, not a front"),
        ({"differentiable": {"alpha": 0}}, {}, "differentiable.alpha 0: must be above 0"),
        ({"differentiable": {"unit": 1e6}}, {}, "differentiable.unit 1.000M: the cheapest"),
        ({"differentiable": {"cost": "latency"}}, {}, "give --latency-table FILE"),
        ({"differentiable": {"cost": "energy"}}, {}, "unknown cost 'energy'"),
        ({"constraint": {"latency_device": "A72"}}, {}, "--latency-device A72 is the device of"),
        (
            {"differentiable": {"charge": "above-limit", "cost": "params"}},
            {},
            "the run has no limit on params; give --max params=N, or the charge all",
        ),
        (
            {"differentiable": {"form": "joint", "charge": "above-limit"}},
            {},
            "differentiable.charge above-limit: the joint form has no cost",
        ),
        ({"differentiable": {"form": "joint", "cost": "flops"}}, {}, "the joint form has no cost"),
        ({"differentiable": {"cost": "memory"}}, {}, "the costliest stage and not a sum"),
        ({"differentiable": {"temperature": 1e-320}}, {}, "must be at least 1e-06"),
        ({"differentiable": {"charge": "above"}}, {}, "differentiable.charge 'above'"),
        ({"differentiable": {"theta_images": 12}}, {}, "theta_images 12: batch_size 16"),
        ({"differentiable": {"theta_images": 1.5}}, {}, "differentiable.theta_images 1.5"),
        (
            {"search": {"algorithm": "proxylessnas"}, "differentiable": {"form": "joint"}},
            {},
            "form joint: the gates of ProxylessNAS",
        ),
        ({"constraint": {"maximum": {"flops": "1K"}}}, {}, "no network of this space satisfies"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_trained(
    tmp_path: Path,
    sections: dict[str, Any],
    options: dict[str, Any],
    told: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    merged = given(**sections)
    if sections.get("layout") == {}:
        del merged["layout"], merged["constraint"]
    with pytest.raises(UserError) as raised:
        run(tmp_path / "run", merged, **options)
    assert told in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not list(tmp_path.iterdir())


def test_a_run_with_a_supernet_of_single_paths_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "run"
    run(out, {name: values for name, values in GIVEN.items() if name != "search"}, ("train",))
    with pytest.raises(UserError, match=r"supernet\.method uniform: --algorithm darts needs"):
        run(out, {"search": {"algorithm": "darts"}}, ("search",))
    # In a run from before there were methods, only the supernet itself shows it.
    config = yaml.safe_load((out / "config.yaml").read_text())
    del config["supernet"]["method"]
    (out / "config.yaml").write_text(yaml.safe_dump(config))
    (out / "train.json").unlink()
    with pytest.raises(UserError, match="has a supernet trained by single paths"):
        run(out, {"search": {"algorithm": "darts"}}, ("search",))
    (out / "train.json").write_text('{"format": 2, "seconds": 0.0, "steps": 1}')
    with pytest.raises(UserError, match=r"--reuse .*: --algorithm darts trains its own weights"):
        run(tmp_path / "other", {"search": {"algorithm": "darts"}}, reuse=out)


def test_a_supernet_of_single_paths_that_is_half_trained_is_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "run"
    plain = {name: values for name, values in GIVEN.items() if name != "search"}
    plain["run"] = {**GIVEN["run"], "save_every": 0}

    class Killed(Silent):
        def progress(self, stage: str, done: int, total: int, detail: str) -> None:
            if done >= 5:
                raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        run(out, plain, ("train",), listener=Killed())
    before = (out / "config.yaml").read_text()
    with pytest.raises(UserError, match=r"supernet\.method uniform: --algorithm fbnet needs"):
        run(out, {"search": {"algorithm": "fbnet"}}, ("search",))
    assert (out / "config.yaml").read_text() == before
    run(out, plain, ("train",))


def test_the_loss_of_a_model_cost_that_is_a_sum_is_charged(tmp_path: Path) -> None:
    run(tmp_path / "run", given(differentiable={"cost": "model_bytes"}), ("search",))
    found = json.loads((tmp_path / "run" / "search.json").read_text())
    assert found["cost"] == "model_bytes" and found["winner"]["costs"]["model_bytes"] > 0


def test_the_stages_one_by_one_find_the_same(finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    run(out, given(), ("train",))
    config = yaml.safe_load((out / "config.yaml").read_text())
    assert config["supernet"]["method"] == "fbnet"
    # The loss of theta depends on them.
    assert config["differentiable"]["beta"] == 0.6
    assert config["constraint"]["maximum"] == {"flops": 130_000.0}
    with pytest.raises(UserError, match=r"constraint.maximum is .* there"):
        run(out, {"constraint": {"maximum": {"flops": "120K"}}}, ("search",))
    run(out, {}, ("search",))
    run(out, {}, ("retrain",))
    assert without_times(out) == without_times(finished)


def as_made_before(out: Path) -> None:
    """Make a run what it was when the search trained the weights itself."""
    (out / "train.json").unlink(missing_ok=True)
    config = yaml.safe_load((out / "config.yaml").read_text())
    del config["supernet"]["method"]
    for name in {"supernet", "retrain"} & config.keys():
        config[name].pop("ema", None)
        config[name].update(paths=1, widening_steps=0)
    (out / "config.yaml").write_text(yaml.safe_dump(config))
    text = (out / "metrics.jsonl").read_text().replace('"stage": "train"', '"stage": "search"')
    (out / "metrics.jsonl").write_text(text)


def test_a_finished_run_made_before_is_reported_and_compared(
    finished: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    shutil.copytree(finished, out)
    as_made_before(out)
    before = (out / "metrics.jsonl").read_text()
    result = run(out, {}, compare=1)
    assert (out / "metrics.jsonl").read_text().startswith(before)
    assert not (out / "train.json").exists()
    assert result.winner == read_result(finished / "result.json").winner
    assert result.train is None and len(result.comparison.networks) == 1
    assert "How the choice was learned" in (out / "report.html").read_text()


def test_an_unfinished_older_run_resumes(finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    always = {"run": {**GIVEN["run"], "save_every": 0}}
    with pytest.raises(RuntimeError, match="killed"):
        run(out, given(**always), listener=Interrupted(7))
    as_made_before(out)
    run(out, given(**always))
    assert without_times(out) == without_times(finished)


def test_evolution_over_a_supernet_trained_with_theta_is_refused(tmp_path: Path) -> None:
    sections = given(search={"algorithm": "evolution"}, supernet={"method": "fbnet"})
    with pytest.raises(UserError, match="--algorithm fbnet, or a method that trains single"):
        run(tmp_path / "run", sections)
    assert not list(tmp_path.iterdir())


def test_another_search_does_not_start_from_its_supernet(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="was trained jointly with the architecture by"):
        run(tmp_path / "other", {}, reuse=finished)
