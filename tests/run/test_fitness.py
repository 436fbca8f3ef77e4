"""The score by which a search compares candidates."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from scipy import stats
from torch.nn import functional as F

from spos import Task, UserError
from spos.report.result import Result, read_result
from spos.run import run
from spos.run.task import make_fitness, zscores
from spos.search.score import score

RECIPE = {"steps": 6, "batch_size": 16, "warmup_steps": 2}
GIVEN: dict[str, Any] = {
    "space": {"name": "nasbenchmacro", "preset": "tiny"},
    "layout": {"channels": [4, 8], "depths": [1, 2], "strides": [1, 2]},
    "run": {"evaluation_batch": 64, "calibration": 64},
    "data": {"validation": 64},
    "supernet": RECIPE,
    "search": {"population": 4, "iterations": 2, "parents": 3},
    "retrain": RECIPE,
}


METRIC = {**GIVEN, "search": {**GIVEN["search"], "fitness": "metric"}}


@pytest.fixture(scope="module")
def by_loss(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """A finished search; not to be written to."""
    out = tmp_path_factory.mktemp("loss") / "run"
    return out, run(out, GIVEN, ("train", "search"))


@pytest.fixture(scope="module")
def by_metric(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """A finished search; not to be written to."""
    out = tmp_path_factory.mktemp("metric") / "run"
    return out, run(out, METRIC, ("train", "search"))


def test_in_classification_it_is_the_negative_loss_over_all_images() -> None:
    outputs, targets = torch.randn(10, 3), torch.arange(10) % 3
    batches = [(outputs[:6], targets[:6]), (outputs[6:], targets[6:])]
    fitness = make_fitness(Task(), "auto")
    found = score(torch.nn.Identity(), lambda: batches, fitness.metric)
    assert found == pytest.approx(-F.cross_entropy(outputs, targets).item(), rel=1e-6)


def test_a_loss_of_ones_own_counts_as_the_mean_over_the_batch() -> None:
    task = Task(loss=lambda outputs, targets: F.cross_entropy(outputs, targets) * 2)
    outputs, targets = torch.randn(4, 3), torch.arange(4) % 3
    fitness = make_fitness(task, "loss")
    found = score(torch.nn.Identity(), lambda: [(outputs, targets)], fitness.metric)
    assert found == pytest.approx(-2 * F.cross_entropy(outputs, targets).item(), rel=1e-6)


def test_a_metric_of_ones_own_is_the_fitness_by_itself() -> None:
    def metric(outputs: torch.Tensor, targets: torch.Tensor) -> float:
        return float((outputs - targets).abs().sum())

    assert make_fitness(Task("error", metric=metric), "auto").metric is metric


def test_an_evaluate_function_has_no_loss() -> None:
    task = Task("own", evaluate=lambda network, batches: 1.0)
    with pytest.raises(UserError, match=r"search\.fitness loss"):
        make_fitness(task, "loss")


def test_a_run_keeps_the_loss_of_all_candidates_and_the_accuracy_of_the_best(
    by_loss: tuple[Path, Result],
) -> None:
    out, result = by_loss
    assert result.one_shot.name == "loss"
    found = json.loads((out / "search.json").read_text())
    losses = [-one["score"] for one in found["candidates"]]
    assert all(1 < loss < 10 for loss in losses)
    assert result.winner.score == -min(losses)
    for one in result.top:
        assert (one.metric_score * 64).is_integer()
    page = (out / "report.html").read_text()
    assert "one-shot loss" in page and "one-shot accuracy" in page


def test_by_accuracy_the_scores_are_shares(by_metric: tuple[Path, Result]) -> None:
    _, result = by_metric
    assert result.one_shot == result.metric
    assert (result.winner.score * 64).is_integer() and result.winner.metric_score is None


def test_evaluations_by_another_fitness_are_not_reused(
    by_loss: tuple[Path, Result], tmp_path: Path
) -> None:
    second = run(tmp_path / "run", METRIC, ("train", "search"), reuse=by_loss[0])
    assert second.search.evaluated == 8


def test_a_search_from_before_there_was_a_choice_stays_one_by_the_metric(
    by_metric: tuple[Path, Result], tmp_path: Path
) -> None:
    out, before = by_metric
    shutil.copytree(out, tmp_path / "run")
    config = tmp_path / "run" / "config.yaml"
    sections = yaml.safe_load(config.read_text())
    assert sections["search"].pop("fitness") == "metric"
    config.write_text(yaml.safe_dump(sections))
    run(tmp_path / "run", GIVEN)
    after = read_result(tmp_path / "run" / "result.json")
    assert after.top == before.top and after.one_shot == after.metric
    assert math.isfinite(after.retrain.test_score)


def test_a_zscore_is_that_of_the_class_of_each_image() -> None:
    outputs, targets = torch.randn(10, 5, dtype=torch.float64), torch.arange(10) % 5
    expected = stats.zscore(outputs.numpy(), axis=1)[np.arange(10), targets.numpy()]
    assert zscores(outputs, targets).numpy() == pytest.approx(expected, abs=1e-6)
    fitness = make_fitness(Task(), "zscore")
    assert not fitness.by_metric and not fitness.measure.negated
    scaled = score(torch.nn.Identity(), lambda: [(7 * outputs + 3, targets)], fitness.metric)
    assert scaled == pytest.approx(expected.mean(), abs=1e-6)


def test_a_network_of_constant_outputs_has_a_zscore_of_0() -> None:
    assert not zscores(torch.ones(3, 4), torch.tensor([0, 1, 2])).any()


def test_a_zscore_is_of_classes() -> None:
    task = Task("error", metric=lambda outputs, targets: -(outputs - targets).abs().sum())
    with pytest.raises(UserError, match=r"search\.fitness zscore: of classes, but .* its error"):
        make_fitness(task, "zscore")


def test_a_run_by_zscores_keeps_the_accuracy_of_the_best(
    by_loss: tuple[Path, Result], tmp_path: Path
) -> None:
    given = {**GIVEN, "search": {**GIVEN["search"], "fitness": "zscore", "racing": 0.9}}
    result = run(tmp_path / "run", {**given, "finalists": {"count": 2}}, reuse=by_loss[0])
    assert result.search.evaluated == 8
    assert result.one_shot.name == "z-score"
    assert all((one.metric_score * 64).is_integer() for one in result.top)
    assert [one.score for one in result.top] == sorted((o.score for o in result.top), reverse=True)
    assert math.isfinite(result.retrain.test_score)


@pytest.mark.parametrize(
    ("setting", "name"),
    [("depth_weight", "depth"), ("naswot_weight", "NASWOT"), ("patterns_weight", "patterns")],
)
def test_scores_that_need_no_training_are_added_to_the_loss(
    by_loss: tuple[Path, Result], tmp_path: Path, setting: str, name: str
) -> None:
    given = {**GIVEN, "search": {**GIVEN["search"], setting: 2.0}}
    out, alone = by_loss
    given["finalists"] = {"count": 2}
    result = run(tmp_path / "run", given, reuse=out, compare=1)
    assert result.search.evaluated == 8
    assert result.one_shot.name == f"loss with {name}"
    losses = {one.architecture: one.score for one in alone.top}
    both = [one for one in result.top if one.architecture in losses]
    # The first population is the best of the known candidates.
    assert both and any(one.score != losses[one.architecture] for one in both)
    assert all((one.metric_score * 64).is_integer() for one in result.top)
    assert math.isfinite(result.retrain.test_score)
