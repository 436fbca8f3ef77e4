"""The training loop: its rates, its progress, its losses, and that a supernet learns."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from trainings import (
    RECIPE,
    GetSupernet,
    Log,
    batches,
    dropped,
    same,
)

from spos import OneOf, Supernet, UserError
from spos._util.randomness import torch_generator
from spos.training.progress import Window
from spos.training.recipe import Recipe


@pytest.mark.parametrize("schedule", ["linear", "cosine", "constant"])
def test_the_learning_rate_follows_the_recipe(schedule, fit):
    recipe = replace(RECIPE, schedule=schedule)
    log = Log()
    fit(dropped(), recipe, observer=log, report_every=0.0)
    assert [progress.step for progress in log.progress] == list(range(1, 9))
    assert [progress.learning_rate for progress in log.progress] == [
        recipe.rate(step) for step in range(8)
    ]


def test_progress_says_how_it_goes(fit):
    log = Log()
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 10))
    nn.init.zeros_(model[1].weight)
    nn.init.constant_(model[1].bias, 0)
    with torch.no_grad():
        model[1].bias[4] = 1e-3
    recipe = replace(RECIPE, steps=1, warmup_steps=0)
    fit(model, recipe, observer=log)
    (progress,) = log.progress
    ((_, targets),) = batches(1)(0)
    assert progress.loss == pytest.approx(math.log(10), rel=1e-3)
    assert progress.top1 == pytest.approx(float((targets == 4).float().mean()))
    assert (progress.step, progress.steps) == (1, 1)
    assert progress.images_per_second > 0


def test_the_throughput_counts_each_image_of_a_step_once(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("time.monotonic", lambda: 100.0)
    window = Window(0, top1=False, passes=3, processes=2, began=96.0)
    # Two steps of three paths, on this process's half of 16 images.
    for _ in range(6):
        window.add(torch.tensor(1.0), torch.zeros(8, 10), torch.zeros(8, dtype=torch.int64))
    assert window.close(2, RECIPE, 4.0).images_per_second == pytest.approx(2 * 16 / 4)


def test_a_custom_loss_serves_targets_that_are_not_classes(fit):
    log = Log()

    def load(start: int) -> Iterator[tuple[Tensor, Tensor]]:
        for images, _ in batches()(start):
            yield images, images.flatten(1)[:, :10]

    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 10))
    fit(model, load=load, loss=nn.functional.mse_loss, observer=log)
    assert {progress.top1 for progress in log.progress} == {None}
    assert log.progress[-1].loss > 0


def test_the_loss_of_classification_smooths_labels_as_the_recipe_says(fit, states):
    smoothed = nn.CrossEntropyLoss(label_smoothing=0.1)
    fit(dropped(), replace(RECIPE, label_smoothing=0.1), folder="by recipe")
    fit(dropped(), folder="given", loss=smoothed)
    fit(dropped(), folder="none")
    by_recipe, given, none = (states(name)[8] for name in ("by recipe", "given", "none"))
    assert same(by_recipe, given)
    assert not same(by_recipe, none)


def test_batches_that_end_too_early_are_an_error(fit):
    with pytest.raises(UserError, match="the batches ended after step 5 of 8"):
        fit(dropped(), load=batches(5))


def test_a_model_without_a_weight_to_train_is_refused(fit):
    with pytest.raises(UserError, match="the loss depends on no weight that is trained"):
        fit(dropped().requires_grad_(False))


def test_a_supernet_learns(make_supernet: GetSupernet, fit):
    # Three classes that differ in the mean of the image.
    def load(start: int) -> Iterator[tuple[Tensor, Tensor]]:
        for step in range(start, 60):
            random = torch_generator(0, "batch", step)
            targets = torch.randint(3, (32,), generator=random)
            noise = torch.randn(32, 3, 6, 6, generator=random)
            yield noise + 2 * targets.view(-1, 1, 1, 1) - 2, targets

    torch.manual_seed(0)
    kernels = {"1x1": nn.Conv2d(3, 8, 1), "3x3": nn.Conv2d(3, 8, 3, padding=1)}
    model = nn.Sequential(
        OneOf(kernels),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 3),
    )
    log = Log()
    recipe = Recipe(steps=60, batch_size=32, learning_rate=0.1)
    fit(Supernet(model, (3, 6, 6)), recipe, load, observer=log, save_every=1e9, report_every=0.0)
    top1 = [progress.top1 for progress in log.progress]
    assert np.mean(top1[-10:]) > 0.9 > np.mean(top1[:5])


def test_the_accuracy_is_that_of_the_passes_with_outputs() -> None:
    window, targets = Window(0, top1=True, passes=2), torch.tensor([0, 0])
    window.add(torch.tensor(1.0), torch.tensor([[1.0, 0.0], [1.0, 0.0]]), targets)
    window.add(torch.tensor(1.0), None, targets)
    assert window.close(1, Recipe(steps=1, batch_size=2, learning_rate=0.1), 1.0).top1 == 1.0
