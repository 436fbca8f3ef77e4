"""Recipes: the settings of a training, of weights and of architecture parameters."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from spos._util.errors import UserError
from spos._util.settings import Settings

#: Largest learning rate: Adam moves a parameter by about its rate, and a softmax of thousands is
#: one-hot.
MAXIMUM_LEARNING_RATE = 1e3
#: Least temperature: below it a softmax is one-hot, and its gradients are not finite.
MINIMUM_TEMPERATURE = 1e-6


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
        augment (str): augmentation policy of the training images, or ``MODULE:NAME`` of a function
            from an image, uint8, shape (C, S, S), to one of the same shape.
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
        left = {"linear": 1 - done, "cosine": (1 + math.cos(math.pi * done)) / 2, "constant": 1.0}
        return self.learning_rate * left[self.schedule]


@dataclass(frozen=True)
class SupernetRecipe(Recipe):
    """Optimisation settings of a supernet, in addition to those of :class:`Recipe`.

    Args:
        method (str): training method, a name in :data:`spos.training.METHODS`.
        paths (int): paths per step, from 1 to 1000; all of them see the same batch, and their
            gradients are averaged. The paper uses 1. For ``sandwich`` it is the number of random
            paths.
        widening_steps (int): steps over which the choices of sizes open, from the largest size to
            all sizes; at least 0 and below ``steps``.
        same_paths (bool): whether all processes train the same paths in a step, each on its part
            of the batch; otherwise each draws its own.
        distillation (bool): whether the other paths of ``sandwich`` learn from the outputs of the
            largest path, in classification, and not from the labels.
        members (int): number of supernets, from 1 to 64, each trained from a seed of its own; the
            one-shot score of an architecture is the mean of its scores in all of them.
        init (str): file of weights that the training begins from; empty for fresh weights.
        init_sha256 (str): digest of that file, which is filled in.

    Raises:
        UserError: a value is out of its range.

    Example:
        >>> SupernetRecipe(steps=100, batch_size=64, learning_rate=0.1).method
        'uniform'
    """

    method: str = "uniform"
    paths: Annotated[int, Field(ge=1, le=1000)] = 1
    widening_steps: Annotated[int, Field(ge=0)] = 0
    same_paths: bool = True
    distillation: bool = True
    members: Annotated[int, Field(ge=1, le=64)] = 1
    init: str = ""
    init_sha256: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.widening_steps >= self.steps:
            raise UserError(
                f"widening_steps {self.widening_steps}: must be below steps {self.steps}, or some "
                "widths are never trained"
            )

    @property
    def folders(self) -> list[str]:
        """Folders of a run with the checkpoints of the supernets."""
        return ["supernet", *(f"supernet-{number}" for number in range(2, self.members + 1))]


@dataclass(frozen=True)
class DifferentiableSettings(Settings):
    """Settings of a differentiable search; the defaults are those of FBNet where it has any.

    Args:
        form (str): ``alternating`` to train theta on images of its own, with the cost in its loss;
            ``joint`` to train theta and weights in one step, from the loss of the weights.
        theta_images (int | float): training images held out for theta in the alternating form, a
            number or a fraction.
        warmup (float): share of the training during which theta is constant, in [0, 1).
        every (int): weight steps per theta step, at least 1.
        learning_rate (float): learning rate of Adam for theta, above 0 and at most 1000.
        weight_decay (float): weight decay of Adam for theta, at least 0.
        temperature (float): initial temperature of the Gumbel softmax, at least 1e-6.
        temperature_decay (float): decay rate of the temperature, at least 0; it is multiplied by
            exp(-rate) every epoch.
        temperature_least (float): lower limit of the temperature, at least 1e-6.
        cost (str): name of the cost in the loss of theta; empty for ``latency`` if the run has a
            latency table, and ``flops`` otherwise.
        charge (str): ``all`` to charge the whole cost, as in the paper; ``above-limit`` to charge
            only what exceeds the largest value that the run allows.
        unit (float): unit of the cost in the loss, at least 0, such as 1e6 for millions of
            multiply-adds; 0 for the largest of 1e6, 1e3 and 1 (for latency 1e3 and 1, microseconds
            and nanoseconds) in which the cheapest network of the space costs at least 10.
        alpha (float): factor of the loss of theta, above 0.
        beta (float): exponent of the logarithm of the mean cost in the loss, at least 0.
        derive (str): ``argmax`` for the most probable network, ``sample`` for the best of several.
        samples (int): number of networks to sample and score, at least 1.

    Raises:
        UserError: a value is out of its range.

    Source: Wu et al., FBNet, CVPR 2019, Sections 3.2, 3.3 and 4.1.

    Example:
        >>> round(DifferentiableSettings().temperature_at(89), 3)
        0.091
        >>> DifferentiableSettings(temperature=0.0)
        Traceback (most recent call last):
        ...
        spos.UserError: differentiable.temperature 0.0: must be at least 1e-06
    """

    section = "differentiable"

    form: Literal["alternating", "joint"] = "alternating"
    theta_images: int | float = 0.2
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.11
    every: Annotated[int, Field(ge=1)] = 1
    learning_rate: Annotated[float, Field(gt=0, le=MAXIMUM_LEARNING_RATE)] = 0.01
    weight_decay: Annotated[float, Field(ge=0)] = 5e-4
    temperature: Annotated[float, Field(ge=MINIMUM_TEMPERATURE)] = 5.0
    temperature_decay: Annotated[float, Field(ge=0)] = 0.045
    temperature_least: Annotated[float, Field(ge=MINIMUM_TEMPERATURE)] = 0.05
    cost: str = ""
    charge: Literal["all", "above-limit"] = "all"
    unit: Annotated[float, Field(ge=0)] = 0.0
    alpha: Annotated[float, Field(gt=0)] = 0.2
    beta: Annotated[float, Field(ge=0)] = 0.6
    derive: Literal["argmax", "sample"] = "argmax"
    samples: Annotated[int, Field(ge=1)] = 50

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.form == "joint" and (self.cost or self.charge != "all"):
            given = f"cost {self.cost}" if self.cost else f"charge {self.charge}"
            raise UserError(
                f"differentiable.{given}: the joint form has no cost in its loss; leave it out, or "
                "give the form alternating"
            )
        if self.temperature_least > self.temperature:
            raise UserError(
                f"differentiable.temperature_least {self.temperature_least}: must be at most the "
                f"temperature, {self.temperature}"
            )

    def temperature_at(self, epoch: int) -> float:
        """Compute the temperature of the Gumbel softmax."""
        fallen = self.temperature * math.exp(-self.temperature_decay * epoch)
        return max(self.temperature_least, fallen)

    def warmup_steps(self, steps: int) -> int:
        """Compute the number of steps during which theta is constant."""
        return math.floor(self.warmup * steps)

    def theta_steps(self, step: int, steps: int) -> int:
        """Count the theta steps before a weight step."""
        return max(0, step - self.warmup_steps(steps)) // self.every
