"""The example of your own loss and metric goes through the whole pipeline."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch

from spos.report.measure import Measure

SHORT = {
    "supernet": {"steps": 60, "warmup_steps": 5},
    "retrain": {"steps": 150, "warmup_steps": 5},
    "search": {"population": 6, "iterations": 2, "parents": 3},
    "run": {"calibration": 256},
}


def test_the_example_ends_with_a_tested_network(example, tmp_path: Path):
    result = example("own_task").search(tmp_path / "run", SHORT)
    assert result.winner.costs["flops"] <= 500_000
    assert result.metric == Measure("all labels right", share=True)
    assert result.data.outputs == 3
    # Guessing each label right as often as the commonest is gets about a fifth of all triples.
    assert result.retrain.test_score > 0.5


def test_the_values_are_those_of_the_digits(example):
    module = example("own_task")
    images = module.Properties()
    for index in range(len(images)):
        digit = images.digits[index]
        assert images[index][1] == [digit in (0, 2, 4, 6, 8), digit >= 5, digit in (0, 6, 8, 9)]


def test_the_metric_is_the_number_of_images_with_all_labels_right(example):
    module = example("own_task")
    outputs = torch.tensor([[1.0, -1.0], [1.0, 1.0], [-2.0, -0.5]])
    targets = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 0.0]])
    assert module.all_right(outputs, targets) == 2
    assert pickle.loads(pickle.dumps(module.task)) == module.task
    assert module.task.score(torch.nn.Identity(), lambda: [(outputs, targets)]) == pytest.approx(
        2 / 3
    )
