"""What is told of a training, and when it is to be stopped."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from spos._util.errors import UserError
from spos.training.recipe import Recipe


@dataclass(frozen=True)
class Progress:
    """What happened in the steps since the last report.

    Args:
        step: steps done.
        steps: steps in all.
        loss: mean training loss.
        top1: share of training images classified correctly, in [0, 1]; None where that is not
            what the training is about.
        learning_rate: of the last step.
        images_per_second: images trained on a second.
        seconds: spent on this training so far, all its sittings together.
    """

    step: int
    steps: int
    loss: float
    top1: float | None
    learning_rate: float
    images_per_second: float
    seconds: float


def diverged(what: str, step: int, recipe: Recipe) -> UserError:
    """The error of a training whose numbers are no numbers any more."""
    return UserError(
        f"{what} at step {step} of {recipe.steps} (learning rate {recipe.rate(step - 1):g}): the "
        "last good state is kept; try a lower learning rate, a warm-up or gradient clipping, in a "
        "new run directory"
    )


class Window:
    """The losses since the last report, left on the device until it is due.

    Args:
        step (int): steps done.
        top1 (bool): whether to count the images classified correctly.
        passes (int): losses a step.
    """

    def __init__(self, step: int, top1: bool, passes: int = 1) -> None:
        self.top1 = top1
        self.passes = passes
        self._open(step)

    def _open(self, step: int) -> None:
        self.first = step
        self.began = time.monotonic()
        self.losses: list[Tensor] = []
        self.correct: list[Tensor] = []
        self.images = 0

    def add(self, loss: Tensor, outputs: Any, targets: Tensor) -> None:
        self.losses.append(loss)
        self.images += len(targets)
        classes = targets.dim() == 1 and not targets.is_floating_point()
        if self.top1 and classes and isinstance(outputs, Tensor) and outputs.dim() == 2:
            self.correct.append((outputs.detach().argmax(1) == targets).sum())

    def close(self, step: int, recipe: Recipe, seconds: float) -> Progress:
        losses = torch.stack(self.losses).float()
        bad = (~torch.isfinite(losses)).nonzero()
        if len(bad):
            at = self.first + int(bad[0]) // self.passes + 1
            raise diverged(f"the loss became {losses[bad[0]].item()}", at, recipe)
        top1 = float(torch.stack(self.correct).sum()) / self.images if self.correct else None
        progress = Progress(
            step=step,
            steps=recipe.steps,
            loss=float(losses.mean()),
            top1=top1,
            learning_rate=recipe.rate(step - 1),
            images_per_second=self.images / max(time.monotonic() - self.began, 1e-9),
            seconds=seconds,
        )
        self._open(step)
        return progress
