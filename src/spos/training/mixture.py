"""Mixtures of options in a step of a differentiable method."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Moment(NamedTuple):
    """The conditions that a mixture is drawn under.

    Args:
        temperature (float): temperature of the Gumbel softmax, above 0.
        of_theta (bool): whether the step trains theta; otherwise it trains only the weights.
    """

    temperature: float
    of_theta: bool


class Mixture(NamedTuple):
    """The mixture weights of the options of one choice in one step.

    Args:
        weights (tuple[tuple[int, Tensor], ...]): index and scalar weight of each option that runs;
            a single option has weight 1.
        probabilities (Tensor): probabilities of all options, shape (options,), for the mean cost;
            their sum is 1.
        moved (Tensor | None): boolean mask of the options whose theta is updated, shape (options,);
            their total probability is kept. None to update all options.
    """

    weights: tuple[tuple[int, Tensor], ...]
    probabilities: Tensor
    moved: Tensor | None = None
