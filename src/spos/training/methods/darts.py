"""DARTS: all options at once, weighted by a softmax."""

from __future__ import annotations

import torch
from torch import Tensor

from spos.training.method import METHODS
from spos.training.methods._mixture import MixtureMethod
from spos.training.theta import Mixture, Moment


@METHODS.register("darts")
class DARTS(MixtureMethod):
    """Training of weights and theta through a softmax over options, in the first-order form.

    Source: Liu et al., DARTS, ICLR 2019.
    """

    label = "DARTS"
    memory_options = None

    @staticmethod
    def draw(theta: Tensor, moment: Moment, random: torch.Generator) -> Mixture:
        """Weight all options by a softmax of theta, without randomness.

        Source: Liu et al., DARTS, ICLR 2019, Section 2.2, Equation 2.

        Example:
            >>> drawn = DARTS.draw(torch.zeros(2), Moment(1.0, of_theta=True), torch.Generator())
            >>> [float(weight) for _, weight in drawn.weights]
            [0.5, 0.5]
        """
        weights = torch.softmax(theta, dim=0)
        return Mixture(tuple(enumerate(weights.unbind())), weights)
