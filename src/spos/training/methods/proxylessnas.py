"""ProxylessNAS: one path for a step of the weights, two options for a step of theta."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from spos.training.method import METHODS
from spos.training.methods._mixture import MixtureMethod
from spos.training.theta import Mixture, Moment


@METHODS.register("proxylessnas")
class ProxylessNAS(MixtureMethod):
    """Training of the weights on sampled paths, and of theta through the gates of two options.

    Source: Cai et al., ProxylessNAS, ICLR 2019.
    """

    label = "ProxylessNAS"
    memory_options = 2
    joint = False

    @staticmethod
    def draw(theta: Tensor, moment: Moment, random: torch.Generator) -> Mixture:
        """Sample one option for a weight step, or two options with one open gate for a theta step.

        In a theta step two options are sampled without replacement, and a softmax over their two
        thetas selects the open one, whose output is the output of the layer. The gradient of a gate
        is the sum of the option's output times the gradient of the layer's output; it reaches both
        thetas through their softmax.

        Source: Cai et al., ProxylessNAS, ICLR 2019, Sections 3.2.1 and 3.2.2, Equations 3 and 4.

        Example:
            >>> random = torch.Generator().manual_seed(0)
            >>> drawn = ProxylessNAS.draw(torch.zeros(3), Moment(1.0, of_theta=True), random)
            >>> [(index, float(weight)) for index, weight in drawn.weights], drawn.moved
            ([(1, 0.0), (2, 1.0)], tensor([False,  True,  True]))
        """
        probabilities = torch.softmax(theta.detach(), dim=0)
        chances = probabilities.cpu().double()
        if not moment.of_theta:
            index = int(torch.multinomial(chances, 1, generator=random))
            return Mixture(((index, theta.new_ones(())),), probabilities)
        # In 32 bits probabilities may underflow, and leave no second option to sample.
        chances = F.softmax(theta.detach().cpu().double(), dim=0).clamp_min(1e-300)
        count = min(2, len(theta))
        pair = torch.multinomial(chances, count, generator=random).sort().values.to(theta.device)
        shares = torch.softmax(theta[pair], dim=0)
        opened = int(torch.multinomial(shares.detach().cpu().double(), 1, generator=random))
        one_hot = F.one_hot(torch.tensor(opened, device=theta.device), count).to(theta)
        # Straight-through: the value is exactly 0 or 1, the gradient is that of the shares.
        gates = one_hot + (shares - shares.detach())
        moved = torch.zeros(len(theta), dtype=torch.bool, device=theta.device)
        moved[pair] = True
        together = probabilities[pair].sum()
        spread = torch.zeros_like(probabilities).index_add(0, pair, shares * together)
        weights = tuple(zip(pair.tolist(), gates.unbind(), strict=True))
        return Mixture(weights, torch.where(moved, spread, probabilities), moved)
