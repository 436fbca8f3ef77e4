"""The benchmarks of ranking and of search on tables of trained networks, on a made-up table."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from spos._util.settings import parse_assignments
from spos.run import run
from spos.run.config import make_config
from spos.run.task import zscores

#: Of the first layer to the last: how much a layer is worth.
WORTH = (5, 1, 4, 1, 3, 1, 2, 1)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("table") / "nasbenchmacro-cifar10.csv"
    lines = ["arch,cifar10_test_top1"]
    for digits in itertools.product("012", repeat=8):
        worth = sum(w * int(d) for w, d in zip(WORTH, digits, strict=True))
        lines.append(f"{''.join(digits)},{50 + worth}")
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_table_is_read_with_its_costs(table: Path) -> None:
    from ground_truth import MACRO_BAND, read_ground_truth

    truth = read_ground_truth("nasbenchmacro", table)
    assert len(truth.accuracy) == 6561 and truth.accuracy.max() == 50 + 2 * sum(WORTH)
    assert truth.costs["flops"].max() == 105_660_928
    best = truth.options[truth.accuracy.argmax()]
    assert best.tolist() == [2] * 8 and truth.layers()[truth.accuracy.argmax()] == 8
    inside = truth.costs["flops"][truth.band()]
    assert MACRO_BAND[0] <= inside.min() and inside.max() <= MACRO_BAND[1]


@pytest.mark.parametrize("name", ["evolution", "TPE", "Optuna's TPE", "NSGA-II for a front"])
def test_regret_falls_within_the_budget(table: Path, name: str, tmp_path: Path) -> None:
    from ground_truth import read_ground_truth
    from table_search import SEARCHES, regrets

    truth = read_ground_truth("nasbenchmacro", table)
    budget = float(np.median(truth.costs["flops"]))
    kept = tmp_path / "kept.jsonl"
    first = regrets(truth, SEARCHES[name], budget, 100, 1, kept)
    regret = regrets(truth, SEARCHES[name], budget, 100, 2, kept)
    assert (regret[0] == first[0]).all() and len(kept.read_text().splitlines()) == 2
    whole = regrets(truth, SEARCHES[name], budget, 100, 2, tmp_path / "another.jsonl")
    assert (regret == whole).all()
    assert regret.shape == (2, 100) and (regret >= 0).all()
    assert (np.diff(regret, axis=1) <= 0).all()
    assert regret[:, -1].mean() < regret[:, 0].mean()


def test_several_scores_of_a_candidate_are_kept_batch_by_batch() -> None:
    from ranking import Recorder

    outputs, targets = torch.randn(64, 10), torch.arange(64) % 10
    recorder = Recorder()
    for _ in range(2):
        for part in (slice(0, 40), slice(40, 64)):
            recorder(outputs[part], targets[part])
        loss, accuracy, zscore = recorder.take()
        assert math.isclose(loss, F.cross_entropy(outputs, targets).item(), rel_tol=1e-5)
        assert accuracy == (outputs.argmax(1) == targets).float().mean()
        assert math.isclose(zscore, zscores(outputs, targets).mean().item(), abs_tol=1e-6)


@pytest.fixture(scope="module")
def supernet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    given = {
        "space": {"name": "nasbenchmacro", "preset": "tiny"},
        "layout": {
            "image_size": 8,
            "channels": [4, 6, 8],
            "depths": [2, 3, 3],
            "strides": [1, 2, 2],
            "stem_channels": 8,
        },
        "data": {"source": "digits", "validation": 64},
        "run": {"evaluation_batch": 64, "calibration": 64},
        "supernet": {"steps": 4, "batch_size": 16, "warmup_steps": 1},
    }
    out = tmp_path_factory.mktemp("supernet") / "a"
    run(out, given, ("train",))
    return out


def test_finalists_and_random_networks_get_the_same_time(
    table: Path, supernet: Path, tmp_path: Path, forks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import equal_compute

    monkeypatch.setattr(equal_compute, "run_command", forks)
    monkeypatch.setattr(equal_compute, "DRAWS", 10)
    arguments = ["nasbenchmacro", "--table", str(table), "--run", str(supernet), "--steps", "2"]
    arguments += ["--finalists", "2", "--random", "3", "--evaluations", "4", "--calibration", "64"]
    arguments += ["--validation", "64", "--processes", "2"]
    arguments += ["--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "out")]
    equal_compute.main(arguments)
    tables = json.loads((tmp_path / "out" / "summary.json").read_text())["tables"]
    (row,) = tables["True accuracy of what is found"]
    best = float(row["best of the finalists, by truth"])
    assert best >= max(float(row["best one-shot score"]), float(row["best of 2 finalists"]))
    assert int(str(row["random networks in that time"]).split(",")[0]) >= 1
    count = len(forks.commands)
    assert 3 <= count <= 5
    equal_compute.main(arguments)
    assert len(forks.commands) == count


def test_the_rival_keeps_the_best_of_what_it_has_time_for() -> None:
    from equal_compute import Trained, best_of_random

    # What trains best is best, and there is time for all, or for one.
    pool = [(float(one), Trained(one / 10, 2.0)) for one in range(10)]
    assert best_of_random(pool, 20.0) == (10, 9.0, 0.0)
    count, mean, _ = best_of_random(pool, 2.0)
    assert count == 1 and 4 < mean < 5


def test_a_ranking_is_compared_with_the_truth(
    table: Path, supernet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ranking

    monkeypatch.setattr(ranking, "RESAMPLES", 20)
    arguments = ["nasbenchmacro", "--table", str(table), "--run", str(supernet)]
    arguments += ["--out", str(tmp_path / "out"), "--networks", "12", "--band", "6"]
    arguments += ["--evaluations", "4", "--calibration", "64", "--validation", "64"]
    ranking.main(arguments)
    scores = tmp_path / "out" / "scores" / "a.json"
    first, written = scores.read_text(), scores.stat().st_mtime_ns
    tables = json.loads((tmp_path / "out" / "summary.json").read_text())["tables"]
    rows = {row["ranking"]: row for name in tables for row in tables[name] if "ranking" in row}
    assert {"multiply-adds", "layers", "a: loss", "a: accuracy"} <= rows.keys()
    assert rows["layers"]["tau, all"].startswith("0.")
    assert (tmp_path / "out" / "ranking.png").stat().st_size > 1000
    ranking.main(arguments)
    assert scores.read_text() == first and scores.stat().st_mtime_ns == written
    assert len(json.loads(first)["scores"]) >= 18
    more = ["--validation", "65", "--out", str(tmp_path / "more")]
    with pytest.raises(SystemExit, match="65: the run has 64"):
        ranking.main([*arguments, *more])


def test_the_variants_of_supernets_are_valid_settings() -> None:
    from supernet_variants import VARIANTS

    space = {"space": {"name": "nasbenchmacro", "preset": "proxy"}}
    for settings in VARIANTS.values():
        given = space | parse_assignments(settings)
        assert make_config(given).supernet.steps >= 2000


def test_rankings_by_fewer_images_are_those_of_subsets(
    table: Path, supernet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import score_images
    from ground_truth import read_ground_truth
    from ranking import Scores

    from spos.run.directory import RunDirectory

    monkeypatch.setattr(score_images, "SUBSETS", 3)
    arguments = ["nasbenchmacro", "--table", str(table), "--run", str(supernet)]
    arguments += ["--networks", "6", "--band", "4", "--calibration", "32", "64"]
    arguments += ["--validation", "16", "64", "--runs", str(tmp_path / "runs")]
    score_images.main([*arguments, "--out", str(tmp_path / "out")])
    (rows,) = json.loads((tmp_path / "out" / "summary.json").read_text())["tables"].values()
    assert [(row["calibration"], row["validation"]) for row in rows] == [
        (32, 16),
        (32, 64),
        (64, 16),
        (64, 64),
    ]
    # All images are one subset, and their mean is the score of a search.
    assert "±" in rows[0]["loss, all"] and "±" not in rows[1]["loss, all"]
    kept = np.load(tmp_path / "runs" / "a-64-64.npy")
    layout = RunDirectory(supernet).resolve_config({}, ())[0].layout
    truth = read_ground_truth("nasbenchmacro", table, layout)
    chosen = score_images.generator(0, "networks").permutation(len(truth.accuracy))[:6].tolist()
    whole = Scores(supernet, tmp_path / "scores.json", truth, (64, 64))(chosen)
    assert np.allclose(kept[:6].mean(-1), whole[:, :2], rtol=1e-5)
