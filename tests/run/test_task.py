"""Runs whose targets are values, with a loss and a metric of the user's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import optuna
import pytest
import torch
from torch import Tensor, nn

from spos import OneOf, Supernet, Task, UserError
from spos.data import ImageData, dataset_data
from spos.report import result_tables
from spos.report.measure import Measure
from spos.report.result import read_result
from spos.run import run
from spos.spaces import SPACES, Family
from spos.training.defaults import Defaults
from spos.training.recipe import Recipe


@dataclass(frozen=True)
class Layout:
    image_size: int = 8


def build(layout: Layout, *, classes: int, image_channels: int) -> Supernet:
    layers = [
        OneOf(
            {
                "tall": nn.Conv2d(channels, 4, (3, 1), padding=(1, 0)),
                "wide": nn.Conv2d(channels, 4, (1, 3), padding=(0, 1)),
                "square": nn.Conv2d(channels, 4, 3, padding=1),
            }
        )
        for channels in (image_channels, 4)
    ]
    head = [nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 64, classes)]
    return Supernet(nn.Sequential(*layers, *head), (image_channels, 8, 8))


def load() -> ImageData:
    """Where the brightest pixel is: two numbers."""
    random = torch.Generator().manual_seed(0)
    items = []
    for _ in range(120):
        image = torch.randint(60, (1, 8, 8), generator=random, dtype=torch.uint8)
        row, column = torch.randint(8, (2,), generator=random).tolist()
        image[0, row, column] = 255
        items.append((image, [row / 8, column / 8]))
    return dataset_data(items, targets="values", validation=0.3)


def closeness(outputs: Tensor, targets: Tensor) -> Tensor:
    return -(outputs - targets).abs().mean(1).sum()


def worst(network: nn.Module, batches) -> float:
    return -max(float((network(x) - y).abs().max()) for x, y in batches)


def undefined(outputs: Tensor, targets: Tensor) -> float:
    return float("nan")


LOSS = nn.functional.mse_loss
MEAN = Task("negative mean error", loss=LOSS, metric=closeness)
WORST = Task("negative worst error", loss=LOSS, evaluate=worst)
GIVEN = {
    "space": {"name": "pixels", "preset": "small"},
    "search": {"population": 4, "iterations": 1, "parents": 2},
    # Not the dearest second layer, so that every network has others of its cost.
    "constraint": {"maximum": {"flops": 9000}},
}


@pytest.fixture(scope="module", autouse=True)
def pixels() -> Iterator[None]:
    recipe = Recipe(steps=60, batch_size=32, learning_rate=0.02, augment="none")
    defaults = Defaults(supernet=recipe, retrain=recipe, calibration=64, data="dataset")
    SPACES["pixels"] = Family(
        paper="none", presets={"small": Layout()}, build=build, defaults={"small": defaults}
    )
    yield
    del SPACES["pixels"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "mean"
    run(out, GIVEN, load=load, task=MEAN, compare=0)
    return out


def studies(out: Path) -> set[str]:
    return set(optuna.get_all_study_names(f"sqlite:///{out}/study.db"))


def test_a_run_minimises_the_loss_and_maximises_the_metric(finished: Path) -> None:
    result = read_result(finished / "result.json")
    assert result.metric == Measure("negative mean error", share=False)
    assert (result.data.classes, result.data.outputs) == ((), 2)
    scores = [candidate.score for candidate in result.top]
    assert scores == sorted(scores, reverse=True) and max(scores) < 0
    # Predicting the middle is wrong by a quarter on average.
    assert -0.2 < result.retrain.test_score < 0
    metrics = [json.loads(line) for line in (finished / "metrics.jsonl").open()]
    assert not any("top1" in metric for metric in metrics)
    losses = [metric["loss"] for metric in metrics if metric["stage"] == "retrain"]
    assert losses[-1] < losses[0] / 2


def test_the_report_calls_the_metric_by_its_name(finished: Path) -> None:
    result = read_result(finished / "result.json")
    page = (finished / "report.html").read_text()
    score = f"{result.retrain.test_score:.4g}"
    assert f"a test score of {score} (negative mean error)" in page
    assert "one-shot negative mean error" in page
    assert "accuracy" not in page.lower() and "top-1" not in page
    headline = str(result_tables(result)[0])
    assert score in headline and "classifies" not in headline


def test_the_same_run_again_does_nothing_and_another_metric_is_refused(finished: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.glob("*.json")}
    run(finished, GIVEN, load=load, task=MEAN)
    after = {path: path.stat().st_mtime_ns for path in finished.glob("*.json")}
    result = finished / "result.json"
    assert {path for path in before if before[path] != after[path]} <= {result}
    with pytest.raises(
        UserError, match=r"evaluated by negative mean error: closeness \(.*, not neg"
    ):
        run(finished, GIVEN, load=load, task=WORST)
    other = Task("negative mean error", loss=nn.functional.l1_loss, metric=closeness)
    with pytest.raises(UserError, match=r"trained with mse_loss \(.* not l1_loss"):
        run(finished, GIVEN, load=load, task=other)
    with pytest.raises(UserError, match=r"trained with mse_loss \(.*, not cross-entropy: give"):
        run(finished, GIVEN, load=load)


def test_values_without_a_loss_and_a_metric_are_refused_before_anything_is_trained(
    tmp_path: Path,
) -> None:
    says = r"^the targets of the dataset are values, not classes: give run\(\) a task with a cust"
    with pytest.raises(UserError, match=says):
        run(tmp_path / "none", GIVEN, load=load)
    assert not (tmp_path / "none").exists()


def test_another_metric_reuses_the_supernet_and_no_evaluation(
    finished: Path, tmp_path: Path
) -> None:
    out = tmp_path / "worst"
    result = run(out, GIVEN, load=load, task=WORST, reuse=finished)
    assert result.search.evaluated == 4
    assert result.metric.name == "negative worst error"
    assert len(studies(out)) == 2 and studies(finished) < studies(out)
    # The same metric is known already.
    again = run(tmp_path / "mean", GIVEN, load=load, task=MEAN, reuse=finished)
    assert again.top == read_result(finished / "result.json").top
    assert len(studies(tmp_path / "mean")) == 1
    other = Task("negative mean error", loss=nn.functional.l1_loss, metric=closeness)
    with pytest.raises(UserError, match=r"trained with mse_loss"):
        run(tmp_path / "loss", GIVEN, load=load, task=other, reuse=finished)


def test_random_networks_are_compared_by_the_metric(finished: Path) -> None:
    result = run(finished, GIVEN, load=load, task=MEAN, compare=1)
    assert all(network.test_score < 0 for network in result.comparison.networks)
    page = (finished / "report.html").read_text()
    assert "Its test score (negative mean error) is -0." in page
    assert "standard error" not in page


def test_a_metric_that_is_not_a_number_ends_the_run_in_one_line(
    finished: Path, tmp_path: Path
) -> None:
    task = Task("nothing", loss=LOSS, metric=undefined)
    with pytest.raises(UserError, match=r"is nan: a metric must return a finite number$") as error:
        run(tmp_path / "nan", GIVEN, load=load, task=task, reuse=finished)
    assert "\n" not in str(error.value)


def test_a_loss_that_is_not_a_scalar_ends_the_run_in_one_line(tmp_path: Path) -> None:
    task = Task("negative mean error", loss=nn.MSELoss(reduction="none"), metric=closeness)
    with pytest.raises(UserError, match=r"^the loss returned a value of shape \[32, 2\]: it must"):
        run(tmp_path / "loss", GIVEN, load=load, task=task)


def test_functions_that_cannot_be_sent_are_named_before_anything_starts(tmp_path: Path) -> None:
    task = Task("error", loss=LOSS, metric=lambda outputs, targets: 0)
    with pytest.raises(UserError, match=r"^metric cannot be sent"):
        run(tmp_path / "two", GIVEN, load=load, task=task, devices=2, accelerator="cpu")


def test_a_model_that_cannot_be_retrained_is_refused_before_anything_is_trained(
    tmp_path: Path,
) -> None:
    def build_deciding(layout: Layout, *, classes: int, image_channels: int) -> Supernet:
        model = nn.Sequential(Deciding(), build(layout, classes=classes, image_channels=1).model)
        return Supernet(model, (image_channels, 8, 8))

    plans = SPACES["pixels"].defaults
    SPACES["deciding"] = Family("none", {"small": Layout()}, build_deciding, plans)
    given = {**GIVEN, "space": {"name": "deciding", "preset": "small"}}
    try:
        with pytest.raises(UserError, match=r"^Sequential cannot be written as one graph"):
            run(tmp_path / "graph", given, load=load, task=MEAN)
        assert not (tmp_path / "graph").exists()
        assert run(tmp_path / "search", given, ("train", "search"), load=load, task=MEAN).winner
    finally:
        del SPACES["deciding"]


class Deciding(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.device.type == "meta" or x.mean() > -9 else -x
