"""Recipes: the optimisation settings of a training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from spos._util.errors import UserError
from spos._util.settings import Settings


@dataclass(frozen=True)
class Recipe(Settings):
    """Optimisation settings of a training.

    Args:
        steps (int): optimiser steps, at least 1.
        batch_size (int): images per step over all processes, at least 1.
        learning_rate (float): peak learning rate of the schedule, above 0.
        momentum (float): momentum of SGD, in [0, 1).
        nesterov (bool): whether SGD uses Nesterov momentum.
        weight_decay (float): weight decay of convolution and linear weights, at least 0; norms and
            biases are not decayed.
        label_smoothing (float): label smoothing of the cross-entropy, in [0, 1).
        schedule (str): decay of the learning rate to 0, ``linear`` or ``cosine``, or ``constant``.
        warmup_steps (int): steps over which the learning rate rises linearly from 0, below
            ``steps``.
        gradient_clip (float): largest norm of the gradient; 0 disables clipping.
        augment (str): augmentation policy of the training images.
        ema (float): decay of the moving average of the weights that the training results in, in
            [0, 1): 0.999 averages over about the last thousand steps, 0 disables the average.

    Raises:
        UserError: a value is out of its range.

    Example:
        >>> Recipe(steps=100, batch_size=64, learning_rate=0.1).rate(50)
        0.05
    """

    steps: Annotated[int, Field(ge=1)]
    batch_size: Annotated[int, Field(ge=1)]
    learning_rate: Annotated[float, Field(gt=0)]
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    nesterov: bool = False
    weight_decay: Annotated[float, Field(ge=0)] = 4e-5
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.1
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    gradient_clip: Annotated[float, Field(ge=0)] = 0.0
    augment: str = "standard"
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.nesterov and not self.momentum:
            raise UserError("nesterov true: needs a momentum above 0")
        if self.warmup_steps >= self.steps:
            raise UserError(f"warmup_steps {self.warmup_steps}: must be below steps {self.steps}")

    def rate(self, step: int) -> float:
        """Compute the learning rate of a step.

        Args:
            step (int): step of the training, from 0.
        """
        if step < self.warmup_steps:
            return self.learning_rate * (step + 1) / self.warmup_steps
        done = (step - self.warmup_steps) / (self.steps - self.warmup_steps)
        if self.schedule == "constant":
            return self.learning_rate
        if self.schedule == "cosine":
            return self.learning_rate * (1 + math.cos(math.pi * done)) / 2
        return self.learning_rate * (1 - done)


@dataclass(frozen=True)
class SupernetRecipe(Recipe):
    """Optimisation settings of a supernet, in addition to those of :class:`Recipe`.

    Args:
        method (str): training method, a name in :data:`spos.training.METHODS`.
        paths (int): paths per step, at least 1; all of them see the same batch, and their gradients
            are averaged. The paper uses 1. For ``sandwich`` it is the number of random paths.
        widening_steps (int): steps over which the choices of sizes open, from the largest size to
            all sizes; at least 0 and below ``steps``.
        distillation (bool): whether the other paths of ``sandwich`` learn from the outputs of the
            largest path, in classification, and not from the labels.

    Raises:
        UserError: a value is out of its range.

    Example:
        >>> SupernetRecipe(steps=100, batch_size=64, learning_rate=0.1).method
        'uniform'
    """

    method: str = "uniform"
    paths: Annotated[int, Field(ge=1)] = 1
    widening_steps: Annotated[int, Field(ge=0)] = 0
    distillation: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.widening_steps >= self.steps:
            raise UserError(
                f"widening_steps {self.widening_steps}: must be below steps {self.steps}, or some "
                "widths are never trained"
            )
