"""A model with choices, its images, and the settings of a search of seconds."""

from __future__ import annotations

from typing import Any

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from spos import OneOf

#: A search of seconds.
QUICK: dict[str, Any] = {
    "supernet": {"steps": 60, "warmup_steps": 3},
    # No plan has such a warm-up for as many steps.
    "retrain": {"steps": 60, "warmup_steps": 4},
    "search": {"population": 6, "iterations": 2, "parents": 2},
}


def layer(inputs: int, outputs: int) -> nn.Sequential:
    options = {f"{k}x{k}": nn.Conv2d(inputs, outputs, k, padding=k // 2) for k in (1, 3, 5)}
    return nn.Sequential(OneOf(options), nn.BatchNorm2d(outputs), nn.ReLU())


def stack() -> nn.Sequential:
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 10))
    return nn.Sequential(layer(1, 8), layer(8, 12), layer(12, 12), *head)


def arrays() -> tuple[Tensor, Tensor]:
    digits = load_digits()
    images = torch.tensor(digits.images * 15.9375).to(torch.uint8)[:, None]
    return images, torch.tensor(digits.target)
