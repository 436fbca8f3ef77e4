"""Quantisers of weights and of activations, in operations that torch.fx traces.

Forward the values are a few levels exactly. Backward the rounding is passed straight through
(Bengio et al., "Estimating or Propagating Gradients Through Stochastic Neurons", 2013). Learned
scalars are called ``step`` or ``clip``: a step is never decayed, a clip is, as in PACT (see
:func:`spos.training.loop.make_optimizer`).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from spos._util.errors import UserError, nearest

#: The most bits of a quantised weight or activation.
MOST_BITS = 8
#: What a step or a clip is at least: a training may move it to 0 or below.
LEAST = 1e-5
#: The mean of what a ReLU leaves of a standard normal variable.
_RECTIFIED_MEAN = 1 / math.sqrt(2 * math.pi)


class DoReFaWeight(nn.Module):
    """Weights in [-1, 1] after a tanh; of one bit, their sign times their mean magnitude.

    Args:
        bits: 1 to 8.
        weight: the weight that it will quantise; of no influence here.

    Raises:
        UserError: the bits are out of range.

    Source: Zhou et al., "DoReFa-Net", 2016, Section 2.3; the one bit is that of Rastegari et al.,
    "XNOR-Net", ECCV 2016, for a whole layer.

    Example:
        >>> DoReFaWeight(2)(torch.tensor([-3.0, -0.2, 0.2, 3.0]))
        tensor([-1.0000, -0.3333,  0.3333,  1.0000])
        >>> DoReFaWeight(1)(torch.tensor([-3.0, 1.0]))
        tensor([-2.,  2.])
    """

    def __init__(self, bits: int, weight: Tensor | None = None) -> None:
        super().__init__()
        self.bits = check_bits(bits)
        self.levels = 2**bits - 1

    def forward(self, weight: Tensor) -> Tensor:
        if self.bits == 1:
            return _straight(_sign(weight) * weight.abs().mean(), weight)
        bent = weight.tanh()
        unit = bent / (2 * bent.abs().max().clamp(min=LEAST)) + 0.5
        return 2 * _straight((unit * self.levels).round() / self.levels, unit) - 1

    def extra_repr(self) -> str:
        return f"bits={self.bits}"


class LearnedStepWeight(nn.Module):
    """Weights at whole multiples of a learned step, from -2**(bits - 1) to 2**(bits - 1) - 1.

    One bit has the levels -1 and 1, so that there are two of them as well: the sign times the step.
    The step begins at twice the mean magnitude over the square root of the highest level, as in
    the paper; of one bit at the mean magnitude, which is the least squares fit of two levels.

    Args:
        bits: 1 to 8.
        weight: the weight that it will quantise; its step begins at what suits it.

    Raises:
        UserError: the bits are out of range.

    Source: Esser et al., "Learned Step Size Quantization", ICLR 2020, Section 2.

    Example:
        >>> quantiser = LearnedStepWeight(2, torch.tensor([-0.5, 0.5]))
        >>> quantiser.step
        Parameter containing:
        tensor(1., requires_grad=True)
        >>> quantiser(torch.tensor([-3.0, -1.4, 0.4, 1.2]))
        tensor([-2., -1.,  0.,  1.], grad_fn=<MulBackward0>)
    """

    def __init__(self, bits: int, weight: Tensor) -> None:
        super().__init__()
        self.bits = check_bits(bits)
        self.least = -(2 ** (bits - 1))
        self.most = max(1, 2 ** (bits - 1) - 1)
        mean = weight.detach().abs().mean()
        self.step = nn.Parameter(mean if bits == 1 else 2 * mean / math.sqrt(self.most))

    def forward(self, weight: Tensor) -> Tensor:
        step = _learned(self.step, weight.numel() * self.most)
        ratio = (weight / step).clamp(self.least, self.most)
        return _straight(_sign(ratio) if self.bits == 1 else ratio.round(), ratio) * step

    def extra_repr(self) -> str:
        return f"bits={self.bits}"


class ClippedActivation(nn.Module):
    """Activations of evenly spaced levels from 0 to a learned clip.

    The clip begins where that of :class:`LearnedStepActivation` does, not at the paper's larger
    constant, with which two bits would round most of a normalised input to 0.

    Args:
        bits: 1 to 8.

    Raises:
        UserError: the bits are out of range.

    Source: Choi et al., "PACT: Parameterized Clipping Activation for Quantized Neural Networks",
    2018, Section 3.

    Example:
        >>> quantiser = ClippedActivation(2)
        >>> _ = torch.nn.init.constant_(quantiser.clip, 3.0)
        >>> quantiser(torch.tensor([[-1.0, 0.6, 1.4, 9.0]])).detach()
        tensor([[0., 1., 1., 3.]])
    """

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.bits = check_bits(bits)
        self.levels = 2**bits - 1
        self.clip = nn.Parameter(torch.tensor(_first_step(self.levels) * self.levels))

    def forward(self, x: Tensor) -> Tensor:
        clip = _straight(self.clip.clamp(min=LEAST), self.clip)
        clipped = torch.minimum(x.relu(), clip)
        step = clip / self.levels
        return _straight((clipped / step).round() * step, clipped)

    def extra_repr(self) -> str:
        return f"bits={self.bits}"


class LearnedStepActivation(nn.Module):
    """Activations at whole multiples of a learned step, from 0 to 2**bits - 1.

    The step begins at the paper's twice the mean over the square root of the highest level, with
    the mean that a ReLU behind a batch norm gives, so that nothing depends on a first batch.

    Args:
        bits: 1 to 8.

    Raises:
        UserError: the bits are out of range.

    Source: Esser et al., "Learned Step Size Quantization", ICLR 2020, Section 2.

    Example:
        >>> quantiser = LearnedStepActivation(2)
        >>> _ = torch.nn.init.constant_(quantiser.step, 0.5)
        >>> quantiser(torch.tensor([[-1.0, 0.3, 1.1, 9.0]])).detach()
        tensor([[0.0000, 0.5000, 1.0000, 1.5000]])
    """

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.bits = check_bits(bits)
        self.levels = 2**bits - 1
        self.step = nn.Parameter(torch.tensor(_first_step(self.levels)))

    def forward(self, x: Tensor) -> Tensor:
        step = _learned(self.step, x[0].numel() * self.levels)
        ratio = (x / step).clamp(0, self.levels)
        return _straight(ratio.round(), ratio) * step

    def extra_repr(self) -> str:
        return f"bits={self.bits}"


#: Quantisers of weights by name: called with the bits and the weight.
WEIGHTS: dict[str, Callable[[int, Tensor], nn.Module]] = {
    "dorefa": DoReFaWeight,
    "lsq": LearnedStepWeight,
}
#: Quantisers of activations by name: called with the bits.
ACTIVATIONS: dict[str, Callable[[int], nn.Module]] = {
    "pact": ClippedActivation,
    "lsq": LearnedStepActivation,
}


def check_bits(bits: int) -> int:
    """Refuse a number of bits that no quantiser has.

    Raises:
        UserError: it is not a whole number from 1 to 8.
    """
    if isinstance(bits, bool) or not isinstance(bits, int) or not 1 <= bits <= MOST_BITS:
        raise UserError(f"{bits!r} bits: a quantiser has 1 to {MOST_BITS}")
    return bits


def check_quantisers(weights: str, activations: str) -> None:
    """Refuse names of no quantiser.

    Raises:
        UserError: there is no such quantiser of weights, or of activations.
    """
    for kind, name, known in (
        ("weight", weights, WEIGHTS),
        ("activation", activations, ACTIVATIONS),
    ):
        if name not in known:
            raise UserError(f"unknown {kind} quantiser '{name}': {nearest(name, known)}")


def _straight(value: Tensor, through: Tensor) -> Tensor:
    """One tensor forward, the gradient of another backward."""
    # In this order the sum is exactly the value: the difference is exactly 0.
    return value.detach() + (through - through.detach())


def _learned(step: Tensor, count: int) -> Tensor:
    """A learned step, whose gradient is scaled by one over the root of levels times entries."""
    return _straight(step.clamp(min=LEAST), step * count**-0.5)


def _sign(x: Tensor) -> Tensor:
    # Not torch.sign: 0 has to be one of the two levels.
    return 2 * (x >= 0).to(x.dtype) - 1


def _first_step(levels: int) -> float:
    return 2 * _RECTIFIED_MEAN / math.sqrt(levels)
