"""Search your own space on your own data set: the whole pipeline, to a tested network.

Run it with ``python examples/own_dataset.py runs/own``: under a minute on one core. Killed and
started again, it resumes where it was.
"""

import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import Dataset

from spos import OneOf, Supernet
from spos.data import ImageData, dataset_data
from spos.run import run
from spos.spaces import SPACES, Family
from spos.training.defaults import Defaults
from spos.training.recipe import Recipe


class Digits(Dataset[tuple[np.ndarray, int]]):
    """Any dataset of (image, class) will do: arrays, tensors or PIL images."""

    def __init__(self) -> None:
        digits = load_digits()
        self.images = (digits.images * 15.9375).astype(np.uint8)
        self.labels = digits.target

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        return self.images[index], int(self.labels[index])


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
    widths = [image_channels] + [layout.channels] * layout.layers
    layers = [
        OneOf({f"conv{k}x{k}": convolution(inputs, outputs, k) for k in (1, 3, 5)})
        for inputs, outputs in pairwise(widths)
    ]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(layout.channels, classes)]
    return Supernet(
        nn.Sequential(*layers, *head), (image_channels, layout.image_size, layout.image_size)
    )


recipe = Recipe(steps=300, batch_size=64, learning_rate=0.1, warmup_steps=20, augment="crop")
defaults = Defaults(supernet=recipe, retrain=recipe, calibration=512, data="dataset")
SPACES["stack"] = Family(
    paper="none", presets={"small": Layout()}, build=build, defaults={"small": defaults}
)


def load() -> ImageData:
    return dataset_data(Digits(), validation=0.2)


if __name__ == "__main__":
    torch.set_num_threads(1)
    result = run(
        Path(*sys.argv[1:2] or ["runs/own"]),
        {
            "space": {"name": "stack", "preset": "small"},
            "search": {"population": 10, "iterations": 3},
            "constraint": {"maximum": {"flops": 500_000}},
        },
        load=load,
    )
    winner = result.winner
    print(f"found {winner.architecture}: {winner.costs['flops']} multiply-adds")
    print(f"test top-1 {result.retrain.test_score:.3f}")
