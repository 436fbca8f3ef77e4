"""The score on validation images while a network is retrained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor

from spos import Task, UserError
from spos._util.listener import Silent
from spos.export.trained import load_trained
from spos.run import run, validation
from spos.run.validation import MOST, PASSES, SHARE, plan_points
from spos.search.score import correct
from spos.training.checkpoint import Checkpoints
from spos.training.loop import report_interval
from spos.training.recipe import Recipe

STEPS = 40
GIVEN: dict[str, Any] = {
    "space": {"preset": "tiny"},
    "layout": {"channels": [16, 24], "depths": [1, 1], "dropout": 0.2},
    "data": {"source": "digits", "validation": 64},
    "run": {"evaluation_batch": 64, "calibration": 64, "save_every": 0},
    "retrain": {"steps": STEPS, "batch_size": 16, "warmup_steps": 2},
    "network": {"name": "0,1"},
}


def retrain(out: Path, task: Task | None = None, **sections: dict[str, Any]) -> None:
    # Saved once, where nothing is killed: that takes longer than a step.
    sections.setdefault("run", {"save_every": 60})
    settings = {**GIVEN, **{name: {**GIVEN[name], **new} for name, new in sections.items()}}
    run(out, settings, ("retrain",), task=task)


def points(out: Path) -> list[tuple[int, float]]:
    lines = map(json.loads, (out / "metrics.jsonl").read_text().splitlines())
    return [(line["step"], line["validation"]) for line in lines if "validation" in line]


def weights(out: Path) -> dict[str, Tensor]:
    loaded = Checkpoints(out / "retrain").load()
    assert loaded is not None and loaded.step == STEPS
    return loaded.tensors


@pytest.fixture(autouse=True)
def generous(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings of a second have a curve as well."""
    monkeypatch.setattr(validation, "SHARE", 1.0)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that was trained with a curve; not to be written to."""
    out = tmp_path_factory.mktemp("validation") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(validation, "SHARE", 1.0)
        retrain(out)
    return out


@given(st.integers(1, 10**6), st.integers(1, 1024), st.integers(0, 50_000))
def test_points_are_few_cheap_and_where_progress_is_reported(
    steps: int, batch: int, images: int
) -> None:
    # The share of long trainings, not that of this file.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(validation, "SHARE", SHARE)
        every, count = plan_points(Recipe(steps=steps, batch_size=batch, learning_rate=0.1), images)
    if not every:
        assert count == 0
        return
    number = steps // every
    assert 1 <= number <= MOST and every % report_interval(steps) == 0
    assert 0 < count <= images
    assert number * count <= SHARE * PASSES * steps * batch


def test_the_curve_is_recorded_and_ends_with_the_network_that_is_tested(whole: Path) -> None:
    curve = points(whole)
    assert [step for step, _ in curve] == [*range(4, STEPS + 1, 4)]
    trained = load_trained(whole)
    data = trained.data
    pixels = data.validation.pixels(range(len(data.validation))).float() / 255
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (data.mean, data.std))
    with torch.inference_mode():
        right = correct(trained.network((pixels - mean) / std), data.validation.labels)
    assert curve[-1][1] == int(right) / 64
    events = EventAccumulator(str(whole / "tensorboard" / "retrain")).Reload()
    assert [(one.step, one.value) for one in events.Scalars("validation")] == [
        (step, pytest.approx(value)) for step, value in curve
    ]


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_it_does_not_change_the_training(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ema: float
) -> None:
    out = whole
    if ema:
        out = tmp_path / "with"
        retrain(out, retrain={"ema": ema})
    monkeypatch.setattr(validation, "SHARE", 0.0)
    retrain(tmp_path / "without", retrain={"ema": ema})
    assert points(out) and not points(tmp_path / "without")
    left, right = weights(out), weights(tmp_path / "without")
    assert left.keys() == right.keys()
    assert all(left[name].equal(right[name]) for name in left)


@pytest.mark.parametrize("at", [6, 8])
def test_a_kill_loses_and_repeats_no_point(whole: Path, tmp_path: Path, at: int) -> None:
    class Killed(Silent):
        def progress(self, stage: str, done: int, total: int, detail: str) -> None:
            if done == at:
                raise RuntimeError("killed")

    out = tmp_path / "run"
    with pytest.raises(RuntimeError, match="killed"):
        run(out, GIVEN, ("retrain",), listener=Killed())
    # Between the record of a point and the checkpoint of its step.
    assert [step for step, _ in points(out)] == [*range(4, at + 1, 4)]
    retrain(out)
    assert points(out) == points(whole)
    assert all(value.equal(weights(whole)[name]) for name, value in weights(out).items())


def test_images_that_are_held_out_are_not_trained_on(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spos.run import fit

    seen: list[int] = []
    make = fit.training_loader

    def loader(context: Any, images: Any, *rest: Any) -> Any:
        seen.append(len(images))
        return make(context, images, *rest)

    monkeypatch.setattr(fit, "training_loader", loader)
    retrain(tmp_path / "run", network={"hold_out": True})
    retrain(tmp_path / "all")
    assert seen[0] == seen[-1] - 64
    lines = map(json.loads, (tmp_path / "run" / "metrics.jsonl").read_text().splitlines())
    assert {line["held_out"] for line in lines if "validation" in line} == {True}
    assert points(tmp_path / "run") != points(whole) == points(tmp_path / "all")


def test_a_batch_that_needs_the_images_held_out_is_refused_before_the_supernet_is_trained(
    tmp_path: Path,
) -> None:
    settings = {**GIVEN, "network": {"hold_out": True}, "retrain": {"steps": 9, "batch_size": 1400}}
    with pytest.raises(UserError, match="retrain: batch_size 1400: there are only 1374 training"):
        run(tmp_path / "run", settings)
    assert not (tmp_path / "run").exists()


def test_a_score_that_is_none_is_left_out_and_the_training_goes_on(tmp_path: Path) -> None:
    scored: list[int] = []

    def odd(outputs: Tensor, targets: Tensor) -> Tensor:
        scored.append(len(targets))
        return correct(outputs, targets) * (1.0 if len(scored) > 1 else float("nan"))

    retrain(tmp_path / "run", Task("odd score", metric=odd))
    assert [step for step, _ in points(tmp_path / "run")] == [*range(8, STEPS + 1, 4)]
