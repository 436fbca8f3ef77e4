"""FBNet: all options at once, weighted by a softmax with noise."""

from __future__ import annotations

import torch
from torch import Tensor

from spos.training.method import METHODS
from spos.training.methods._mixture import MixtureMethod
from spos.training.theta import Mixture, Moment


@METHODS.register("fbnet")
class FBNet(MixtureMethod):
    """Training of weights and theta through a Gumbel softmax over options.

    Source: Wu et al., FBNet, CVPR 2019.
    """

    label = "FBNet"
    memory_options = None
    cools = True

    @staticmethod
    def draw(theta: Tensor, moment: Moment, random: torch.Generator) -> Mixture:
        """Weight all options by a softmax of theta with Gumbel noise.

        Source: Wu et al., FBNet, CVPR 2019, Section 3.2, Equations 6 and 7.

        Example:
            >>> random = torch.Generator().manual_seed(0)
            >>> drawn = FBNet.draw(torch.zeros(3), Moment(0.01, of_theta=True), random)
            >>> [round(float(weight), 3) for _, weight in drawn.weights]
            [1.0, 0.0, 0.0]
        """
        uniform = torch.rand(len(theta), generator=random, dtype=torch.float64)
        # Neither logarithm may get 0, which one of 2^53 draws is.
        noise = -torch.log(-torch.log(uniform.clamp(1e-300, 1 - 1e-16)))
        # In 64 bits, because a low temperature leads to large numbers.
        noisy = (theta.double() + noise.to(theta.device)) / moment.temperature
        weights = torch.softmax(noisy, dim=0).to(theta)
        return Mixture(tuple(enumerate(weights.unbind())), weights)
