"""Search for your own task: several labels an image, a loss and a metric to match.

Three things are to be said of every handwritten digit: whether it is even, whether it is above
four, and whether its line encloses an area. Run it with ``python examples/own_task.py runs/task``:
under a minute on one core.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.utils.data import Dataset

from spos import OneOf, Supernet, Task
from spos.data import ImageData, dataset_data
from spos.run import run
from spos.spaces import SPACES, Family
from spos.training.defaults import Defaults
from spos.training.recipe import Recipe

CLOSED = (0, 6, 8, 9)


class Properties(Dataset[tuple[np.ndarray, list[bool]]]):
    """Images with the values to be predicted, here three numbers of 0 or 1."""

    def __init__(self) -> None:
        digits = load_digits()
        self.images = (digits.images * 15.9375).astype(np.uint8)
        self.digits = digits.target.tolist()

    def __len__(self) -> int:
        return len(self.digits)

    def __getitem__(self, index: int) -> tuple[np.ndarray, list[bool]]:
        digit = self.digits[index]
        return self.images[index], [digit % 2 == 0, digit > 4, digit in CLOSED]


def load() -> ImageData:
    return dataset_data(Properties(), targets="values", validation=0.2)


def all_right(outputs: Tensor, targets: Tensor) -> Tensor:
    """How many images of a batch have all of their labels right: a sum, not a mean."""
    return ((outputs > 0) == (targets > 0.5)).all(1).sum()


# The functions are at the top level of this module, so that several devices can be sent them.
task = Task(
    "all labels right",
    loss=nn.functional.binary_cross_entropy_with_logits,
    metric=all_right,
    share=True,
)


@dataclass(frozen=True)
class Layout:
    """The settings of the space, which a run may change."""

    image_size: int = 8
    channels: int = 16
    layers: int = 5


def convolution(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    same = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(same, nn.BatchNorm2d(outputs), nn.ReLU())


def build(layout: Layout, *, classes: int, image_channels: int) -> Supernet:
    """A supernet with as many outputs as a target has values, which come as ``classes``."""
    widths = [image_channels] + [layout.channels] * layout.layers
    layers = [
        OneOf({f"conv{k}x{k}": convolution(inputs, outputs, k) for k in (1, 3, 5)})
        for inputs, outputs in pairwise(widths)
    ]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(layout.channels, classes)]
    return Supernet(
        nn.Sequential(*layers, *head), (image_channels, layout.image_size, layout.image_size)
    )


recipe = Recipe(steps=400, batch_size=64, learning_rate=0.1, warmup_steps=20, augment="crop")
defaults = Defaults(supernet=recipe, retrain=recipe, calibration=512, data="dataset")
SPACES["properties"] = Family(
    paper="none", presets={"small": Layout()}, build=build, defaults={"small": defaults}
)


def search(out: Path, settings: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Search and retrain, to what ``result.json`` holds.

    Args:
        out: the run directory.
        settings: sections of the configuration beside those here.
    """
    given = {
        "space": {"name": "properties", "preset": "small"},
        "search": {"population": 10, "iterations": 3},
        "constraint": {"maximum": {"flops": 500_000}},
    }
    return run(out, {**given, **(settings or {})}, load=load, task=task)


if __name__ == "__main__":
    torch.set_num_threads(1)
    result = search(Path(*sys.argv[1:2] or ["runs/task"]))
    winner = result.winner
    print(f"found {winner.architecture}: {winner.costs['flops']} multiply-adds")
    # The scores keep the names that they have in classification.
    name, score = result.metric.name, result.retrain.test_score
    print(f"{name}: {score:.3f} of the test images")
