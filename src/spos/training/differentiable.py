"""How a differentiable search trains its architecture parameters."""

from __future__ import annotations

import math
from dataclasses import dataclass

from spos._util.errors import UserError, nearest

FORMS = ("alternating", "joint")
CHARGES = ("all", "above-limit")
DERIVATIONS = ("argmax", "sample")
#: Adam moves a number by about its rate, and a theta of thousands decides everything.
MOST_RATE = 1e3
#: Below, a softmax is one-hot, and its gradients are no numbers.
LEAST_TEMPERATURE = 1e-6


@dataclass(frozen=True)
class DifferentiableSettings:
    """The settings of a differentiable search; the defaults are FBNet's where it has them.

    Args:
        form: ``alternating``: theta learns from images of its own, with the cost in its loss; or
            ``joint``: theta and weights in one step, from the loss of the weights alone.
        theta_images: training images that theta learns from in the alternating form: a number, or
            a fraction.
        warmup: the share of the training during which theta stays as it is, in [0, 1).
        every: weight steps between two theta steps, at least 1.
        learning_rate: of Adam for theta, above 0 and at most 1000.
        weight_decay: of Adam for theta, at least 0.
        temperature: of the Gumbel softmax at first, above 0.
        temperature_decay: the temperature falls by the factor exp(-this) an epoch; at least 0.
        temperature_least: it does not fall below this; above 0.
        cost: the cost in the loss of theta; empty takes ``latency`` where the run has a latency
            table, ``flops`` otherwise.
        charge: ``all``: the cheaper, the better, as in the paper; or ``above-limit``: only what
            exceeds the largest value that the run allows is charged.
        unit: what the cost is counted in there, above 0: 1e6 for millions of multiply-adds. 0 takes
            the largest of 1e6, 1e3 and 1 (for a latency, of 1e3 and 1: microseconds and
            nanoseconds) of which the cheapest network of the space has at least 10.
        alpha: the factor of the loss of theta, above 0.
        beta: the power of the logarithm of the mean cost in it, at least 0.
        derive: ``argmax``: the most probable network, or ``sample``: the best of several.
        samples: how many networks are scored where they are sampled, at least 1.

    Raises:
        UserError: a value is out of its range.

    Source: Wu et al., FBNet, CVPR 2019, Sections 3.2, 3.3 and 4.1.

    Example:
        >>> round(DifferentiableSettings().temperature_at(89), 3)
        0.091
        >>> DifferentiableSettings(temperature=0.0)
        Traceback (most recent call last):
        ...
        spos.UserError: differentiable.temperature 0.0: must be above 0
    """

    form: str = "alternating"
    theta_images: int | float = 0.2
    warmup: float = 0.11
    every: int = 1
    learning_rate: float = 0.01
    weight_decay: float = 5e-4
    temperature: float = 5.0
    temperature_decay: float = 0.045
    temperature_least: float = 0.05
    cost: str = ""
    charge: str = "all"
    unit: float = 0.0
    alpha: float = 0.2
    beta: float = 0.6
    derive: str = "argmax"
    samples: int = 50

    def __post_init__(self) -> None:
        for name, allowed in (("form", FORMS), ("charge", CHARGES), ("derive", DERIVATIONS)):
            value = getattr(self, name)
            if value not in allowed:
                raise UserError(
                    f"unknown differentiable.{name} '{value}': {nearest(value, allowed)}"
                )
        for name in ("learning_rate", "temperature", "temperature_least", "alpha"):
            if not 0 < getattr(self, name) < math.inf:
                raise UserError(f"differentiable.{name} {getattr(self, name)}: must be above 0")
        for name in ("temperature", "temperature_least"):
            if getattr(self, name) < LEAST_TEMPERATURE:
                raise UserError(
                    f"differentiable.{name} {getattr(self, name)}: must be at least "
                    f"{LEAST_TEMPERATURE:g}"
                )
        if self.form == "joint" and (self.cost or self.charge != "all"):
            given = f"cost {self.cost}" if self.cost else f"charge {self.charge}"
            raise UserError(
                f"differentiable.{given}: the joint form has no cost in its loss; leave it out, or "
                "give the form alternating"
            )
        if self.learning_rate > MOST_RATE:
            raise UserError(
                f"differentiable.learning_rate {self.learning_rate}: must be at most {MOST_RATE:g}"
            )
        for name in ("weight_decay", "temperature_decay", "unit", "beta"):
            if not 0 <= getattr(self, name) < math.inf:
                raise UserError(f"differentiable.{name} {getattr(self, name)}: must be at least 0")
        for name in ("every", "samples"):
            if not getattr(self, name) >= 1:
                raise UserError(f"differentiable.{name} {getattr(self, name)}: must be at least 1")
        if not 0 <= self.warmup < 1:
            raise UserError(f"differentiable.warmup {self.warmup}: a share of the steps in [0, 1)")
        if self.temperature_least > self.temperature:
            raise UserError(
                f"differentiable.temperature_least {self.temperature_least}: must be at most the "
                f"temperature, {self.temperature}"
            )

    def temperature_at(self, epoch: int) -> float:
        """The temperature of the Gumbel softmax in an epoch, counted from 0."""
        fallen = self.temperature * math.exp(-self.temperature_decay * epoch)
        return max(self.temperature_least, fallen)

    def warmup_steps(self, steps: int) -> int:
        """The steps of a training during which theta stays as it is."""
        return math.floor(self.warmup * steps)

    def theta_steps(self, step: int, steps: int) -> int:
        """How many theta steps come before those of a weight step.

        Args:
            step (int): weight step, counted from 0.
            steps (int): weight steps of the training.
        """
        return max(0, step - self.warmup_steps(steps)) // self.every
