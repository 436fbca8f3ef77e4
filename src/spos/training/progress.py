"""Progress reports of a training, and the check for divergence."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from spos._util.errors import UserError
from spos.training.recipe import Recipe


@dataclass(frozen=True)
class Progress:
    """A report on the steps since the previous report.

    Args:
        step (int): number of finished steps.
        steps (int): number of all steps.
        loss (float): mean training loss.
        top1 (float | None): share of training images classified correctly, in [0, 1]; None if the
            task is not classification.
        learning_rate (float): learning rate of the last step.
        images_per_second (float): throughput of the training.
        seconds (float): wall time of the training, interrupted attempts included.
    """

    step: int
    steps: int
    loss: float
    top1: float | None
    learning_rate: float
    images_per_second: float
    seconds: float


def divergence_error(what: str, step: int, recipe: Recipe) -> UserError:
    """Make the error of a training with a non-finite loss or weight.

    Args:
        what (str): start of the message, such as ``"the loss became nan"``.
        step (int): step of the training, from 1.
        recipe (Recipe): optimisation settings.
    """
    return UserError(
        f"{what} at step {step} of {recipe.steps} (learning rate {recipe.rate(step - 1):g}): the "
        "last good state is kept; try a lower learning rate, a warm-up or gradient clipping, in a "
        "new run directory"
    )


@dataclass
class Window:
    """The losses since the last report, kept on the device until a report is due.

    Args:
        first (int): number of finished steps at its beginning.
        top1 (bool): whether to count the images classified correctly.
        passes (int): losses per step.
        processes (int): processes of the training, of which each has a part of a batch.
    """

    first: int
    top1: bool
    passes: int = 1
    processes: int = 1
    began: float = field(default_factory=time.monotonic)
    losses: list[Tensor] = field(default_factory=list)
    correct: list[Tensor] = field(default_factory=list)
    images: int = 0
    # A pass may have no outputs to judge.
    judged: int = 0

    def add(self, loss: Tensor, outputs: Any, targets: Tensor) -> None:
        """Add the loss of a forward pass, and count its correct outputs."""
        self.losses.append(loss)
        self.images += len(targets)
        classes = targets.dim() == 1 and not targets.is_floating_point()
        if self.top1 and classes and isinstance(outputs, Tensor) and outputs.dim() == 2:
            self.correct.append((outputs.detach().argmax(1) == targets).sum())
            self.judged += len(targets)

    def close(self, step: int, recipe: Recipe, seconds: float) -> Progress:
        """Make a report.

        Raises:
            UserError: a loss is not finite.
        """
        losses = torch.stack(self.losses).float()
        bad = (~torch.isfinite(losses)).nonzero()
        if len(bad):
            at = self.first + int(bad[0]) // self.passes + 1
            raise divergence_error(f"the loss became {losses[bad[0]].item()}", at, recipe)
        elapsed = max(time.monotonic() - self.began, 1e-9)
        top1 = float(torch.stack(self.correct).sum()) / self.judged if self.correct else None
        return Progress(
            step=step,
            steps=recipe.steps,
            loss=float(losses.mean()),
            top1=top1,
            learning_rate=recipe.rate(step - 1),
            images_per_second=self.images * self.processes / self.passes / elapsed,
            seconds=seconds,
        )
