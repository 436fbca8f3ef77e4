"""Make your own network searchable by three lines, then search it on handwritten digits.

Run it with ``python examples/own_model.py runs/model``: about a minute on one core.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from spos import OneOf, Supernet
from spos.nn import ElasticConv2d, Width
from spos.run import run
from spos.spaces import SPACES, Family
from spos.training.defaults import Defaults
from spos.training.recipe import Recipe


class Block(nn.Module):
    """A residual block. Each commented line is the one that the line below it replaces."""

    def __init__(self, channels: int, stride: int = 1) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        # hidden = 2 * channels
        hidden = self.hidden = Width([channels // 2, channels, 2 * channels])
        # self.expand = nn.Conv2d(channels, hidden, 3, stride, padding=1)
        self.expand = OneOf({f"{k}x{k}": expansion(channels, hidden, k, stride) for k in (1, 3, 5)})
        # self.contract = nn.Conv2d(hidden, channels, 1)
        self.contract = ElasticConv2d(hidden, channels, 1)
        self.shortcut = nn.AvgPool2d(stride)

    def forward(self, x: Tensor) -> Tensor:
        return self.shortcut(x) + self.contract(self.expand(self.norm(x)).relu())


def expansion(channels: int, hidden: Width, kernel: int, stride: int) -> ElasticConv2d:
    return ElasticConv2d(channels, hidden, kernel, stride, padding=kernel // 2)


@dataclass(frozen=True)
class Layout:
    """The settings of the space, which a run may change."""

    image_size: int = 8
    channels: int = 16
    strides: tuple[int, ...] = (1, 1, 2, 1)


def network(layout: Layout, classes: int, image_channels: int) -> nn.Sequential:
    """A sequence, so that each block is a stage: costs are counted and work is shared by stage."""
    return nn.Sequential(
        nn.Conv2d(image_channels, layout.channels, 3, padding=1),
        *(Block(layout.channels, stride) for stride in layout.strides),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(layout.channels, classes),
    )


def build(layout: Layout, *, classes: int, image_channels: int) -> Supernet:
    model = network(layout, classes, image_channels)
    return Supernet(model, (image_channels, layout.image_size, layout.image_size))


recipe = Recipe(steps=500, batch_size=64, learning_rate=0.1, warmup_steps=20, augment="crop")
defaults = Defaults(supernet=recipe, retrain=recipe, calibration=512, data="digits", validation=0.3)
SPACES["residual"] = Family(
    paper="none", presets={"small": Layout()}, build=build, defaults={"small": defaults}
)


def search(out: Path, settings: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Search and retrain, to what ``result.json`` holds.

    Args:
        out: the run directory.
        settings: sections of the configuration beside those here.
    """
    given = {
        "space": {"name": "residual", "preset": "small"},
        "search": {"population": 20, "iterations": 5},
        "constraint": {"maximum": {"flops": 600_000}},
    }
    return run(out, {**given, **(settings or {})})


if __name__ == "__main__":
    torch.set_num_threads(1)
    result = search(Path(*sys.argv[1:2] or ["runs/model"]))
    winner = result.winner
    print(f"found {winner.names}")
    print(f"{winner.costs['flops']} multiply-adds, {winner.costs['params']} parameters")
    print(f"test top-1 {result.retrain.test_score:.3f}")
