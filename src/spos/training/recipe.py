"""How a network is trained: the numbers of an optimisation, and the recipes known to work."""

from __future__ import annotations

import math
from dataclasses import dataclass

from spos._util.errors import UserError, nearest

SCHEDULES = ("linear", "cosine", "constant")


@dataclass(frozen=True)
class Recipe:
    """The settings of one training.

    Args:
        steps: optimiser steps, at least 1.
        batch_size: images a step, over all processes.
        learning_rate: the highest of the schedule.
        momentum: of SGD, in [0, 1).
        nesterov: whether the momentum is Nesterov's.
        weight_decay: on convolution and linear weights alone; norms and biases have none.
        label_smoothing: in [0, 1).
        schedule: ``linear`` or ``cosine`` decay to 0, or ``constant``.
        warmup_steps: steps over which the learning rate rises linearly from 0.
        gradient_clip: the largest norm of the gradient; 0 leaves it alone.
        augment: the augmentation of the training images.
        ema (float): decay of a moving average of the weights, which is the result of the training,
            in [0, 1): 0.999 averages over about the last thousand steps, 0 is off.

    Raises:
        UserError: a value is out of its range.

    Example:
        >>> Recipe(steps=100, batch_size=64, learning_rate=0.1).rate(50)
        0.05
    """

    steps: int
    batch_size: int
    learning_rate: float
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 4e-5
    label_smoothing: float = 0.1
    schedule: str = "linear"
    warmup_steps: int = 0
    gradient_clip: float = 0.0
    augment: str = "standard"
    ema: float = 0.0

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "learning_rate"):
            if not 0 < getattr(self, name) < math.inf:
                raise UserError(f"{name} {getattr(self, name)}: must be above 0")
        for name in ("momentum", "label_smoothing", "ema"):
            if not 0 <= getattr(self, name) < 1:
                raise UserError(f"{name} {getattr(self, name)}: must be in [0, 1)")
        for name in ("weight_decay", "gradient_clip", "warmup_steps"):
            if not 0 <= getattr(self, name) < math.inf:
                raise UserError(f"{name} {getattr(self, name)}: must not be negative")
        if self.nesterov and not self.momentum:
            raise UserError("nesterov true: needs a momentum above 0")
        if self.warmup_steps >= self.steps:
            raise UserError(f"warmup_steps {self.warmup_steps}: must be below steps {self.steps}")
        if self.schedule not in SCHEDULES:
            raise UserError(
                f"unknown schedule '{self.schedule}': {nearest(self.schedule, SCHEDULES)}"
            )

    def rate(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
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
    """The settings of the training of a supernet; those of :class:`Recipe` come first.

    Args:
        method (str): what a step trains, a name in :data:`spos.training.METHODS`.
        paths (int): paths a step, each on the same batch, their gradients averaged, at least 1;
            the paper draws 1. Of ``sandwich``, the random ones alone.
        widening_steps (int): steps over which the choice of sizes opens, from the largest alone to
            all of them; below ``steps``.

    Raises:
        UserError: a value is out of its range.

    Example:
        >>> SupernetRecipe(steps=100, batch_size=64, learning_rate=0.1).method
        'uniform'
    """

    method: str = "uniform"
    paths: int = 1
    widening_steps: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.paths < 1:
            raise UserError(f"paths {self.paths}: must be at least 1")
        if self.widening_steps < 0:
            raise UserError(f"widening_steps {self.widening_steps}: must not be negative")
        if self.widening_steps >= self.steps:
            raise UserError(
                f"widening_steps {self.widening_steps}: must be below steps {self.steps}, or some "
                "widths are never trained"
            )
