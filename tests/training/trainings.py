"""Short trainings on random images, and what they are watched by."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from spos import Supernet
from spos._util.randomness import torch_generator
from spos.spaces.shufflenetv2 import Layout, shufflenetv2
from spos.training.checkpoint import Loaded
from spos.training.progress import Progress
from spos.training.recipe import Recipe

GetSupernet = Callable[[str], Supernet]
Batches = Callable[[int], Iterator[tuple[Tensor, Tensor]]]

RECIPE = Recipe(steps=8, batch_size=6, learning_rate=0.1, warmup_steps=2, label_smoothing=0.0)
SEED = 3


class KilledError(Exception):
    """Stands for whatever ends a process."""


def dropped(seed: int = 0) -> Supernet:
    """A supernet with dropout, so that a resumed training needs the same randomness."""
    torch.manual_seed(seed)
    layout = Layout(
        image_size=8,
        stem_channels=8,
        stem_stride=1,
        channels=(16,),
        depths=(3,),
        strides=(1,),
        head_channels=16,
        dropout=0.5,
    )
    return shufflenetv2(layout, classes=10)


def batches(
    steps: int = RECIPE.steps, at: dict[int, Callable[[], object]] | None = None
) -> Batches:
    """The batch of a step depends on the step alone; something may happen before one is given."""

    def load(start: int) -> Iterator[tuple[Tensor, Tensor]]:
        for step in range(start, steps):
            if at and step in at:
                at[step]()
            random = torch_generator(0, "batch", step)
            images = torch.randn(RECIPE.batch_size, 3, 8, 8, generator=random)
            yield images, torch.randint(10, (RECIPE.batch_size,), generator=random)

    return load


def kill() -> None:
    raise KilledError


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


class Log:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.loaded: list[Loaded] = []
        self.progress: list[Progress] = []

    def resumed(self, loaded: Loaded) -> None:
        self.loaded.append(loaded)

    def progressed(self, progress: Progress) -> None:
        self.progress.append(progress)


def same(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    return left.keys() == right.keys() and all(
        torch.equal(left[name], right[name]) for name in left
    )
