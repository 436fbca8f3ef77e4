"""How the weights of a layer's options are drawn: all that the three algorithms differ in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


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


#: From the theta of one choice, one number an option, the weights of its options. All randomness is
#: that of the generator, which is on the CPU.
Draw = Callable[[Tensor, Moment, torch.Generator], Mixture]


def gumbel_softmax(theta: Tensor, moment: Moment, random: torch.Generator) -> Mixture:
    """FBNet: a softmax of theta with Gumbel noise, all options at once.

    Source: Wu et al., FBNet, CVPR 2019, Section 3.2, Equations 6 and 7.

    Example:
        >>> random = torch.Generator().manual_seed(0)
        >>> drawn = gumbel_softmax(torch.zeros(3), Moment(0.01, of_theta=True), random)
        >>> [round(float(weight), 3) for _, weight in drawn.weights]
        [1.0, 0.0, 0.0]
    """
    uniform = torch.rand(len(theta), generator=random, dtype=torch.float64)
    # Neither logarithm may see a 0, which a draw in 2^53 is.
    noise = -torch.log(-torch.log(uniform.clamp(1e-300, 1 - 1e-16)))
    # In 64 bits, because a low temperature makes large numbers.
    noisy = (theta.double() + noise.to(theta.device)) / moment.temperature
    weights = torch.softmax(noisy, dim=0).to(theta)
    return Mixture(tuple(enumerate(weights.unbind())), weights)


def softmax(theta: Tensor, moment: Moment, random: torch.Generator) -> Mixture:
    """DARTS: a softmax of theta, all options at once, nothing random.

    Source: Liu et al., DARTS, ICLR 2019, Section 2.2, Equation 2.

    Example:
        >>> drawn = softmax(torch.zeros(2), Moment(1.0, of_theta=True), torch.Generator())
        >>> [float(weight) for _, weight in drawn.weights]
        [0.5, 0.5]
    """
    weights = torch.softmax(theta, dim=0)
    return Mixture(tuple(enumerate(weights.unbind())), weights)


def binary_gates(theta: Tensor, moment: Moment, random: torch.Generator) -> Mixture:
    """ProxylessNAS: one sampled path for a weight step; for a theta step two, of which one is open.

    Two options are sampled without replacement, and one of them is opened by a softmax of their two
    thetas alone. The output is that of the open one; the gradient of each gate is what the option's
    output, times the gradient of the layer's output, adds up to, and goes to both thetas as through
    their softmax.

    Source: Cai et al., ProxylessNAS, ICLR 2019, Sections 3.2.1 and 3.2.2, Equations 3 and 4.

    Example:
        >>> random = torch.Generator().manual_seed(0)
        >>> drawn = binary_gates(torch.zeros(3), Moment(1.0, of_theta=True), random)
        >>> [(index, float(weight)) for index, weight in drawn.weights], drawn.moved
        ([(1, 0.0), (2, 1.0)], tensor([False,  True,  True]))
    """
    probabilities = torch.softmax(theta.detach(), dim=0)
    chances = probabilities.cpu().double()
    if not moment.of_theta:
        index = int(torch.multinomial(chances, 1, generator=random))
        return Mixture(((index, theta.new_ones(())),), probabilities)
    # In 32 bits, probabilities may vanish, and nothing be left for the second of the two.
    chances = F.softmax(theta.detach().cpu().double(), dim=0).clamp_min(1e-300)
    count = min(2, len(theta))
    pair = torch.multinomial(chances, count, generator=random).sort().values.to(theta.device)
    shares = torch.softmax(theta[pair], dim=0)
    opened = int(torch.multinomial(shares.detach().cpu().double(), 1, generator=random))
    one_hot = F.one_hot(torch.tensor(opened, device=theta.device), count).to(theta)
    # The value is exactly that of the closed and open gates, the gradient that of the shares.
    gates = one_hot + (shares - shares.detach())
    moved = torch.zeros(len(theta), dtype=torch.bool, device=theta.device)
    moved[pair] = True
    together = probabilities[pair].sum()
    spread = torch.zeros_like(probabilities).index_add(0, pair, shares * together)
    weights = tuple(zip(pair.tolist(), gates.unbind(), strict=True))
    return Mixture(weights, torch.where(moved, spread, probabilities), moved)


DRAWS: Mapping[str, Draw] = {
    "fbnet": gumbel_softmax,
    "darts": softmax,
    "proxylessnas": binary_gates,
}
