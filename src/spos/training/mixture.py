"""The weights of the options that a step mixes, and for what they are drawn."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Moment:
    """For what weights are drawn.

    Args:
        temperature: of the Gumbel softmax.
        of_theta: whether the step is to move theta; otherwise it moves the weights alone.
    """

    temperature: float
    of_theta: bool


@dataclass(frozen=True)
class Mixture:
    """The weights of the options of one choice in one step.

    Args:
        weights: the options that run, by index, each with its weight, a scalar. A single one is
            the path to take; its weight is 1.
        probabilities: of all options, for the mean cost; they add up to 1.
        moved: whether each option's theta may be moved; all may without it. The probability of
            those that may, together, stays what it is.
    """

    weights: tuple[tuple[int, Tensor], ...]
    probabilities: Tensor
    moved: Tensor | None = None
