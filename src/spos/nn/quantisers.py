"""Weight and activation quantisers, built from operations that torch.fx traces.

The forward pass returns exact quantisation levels. The backward pass uses the straight-through
estimator (Bengio et al., "Estimating or Propagating Gradients Through Stochastic Neurons", 2013).
Learned scalars are called ``step`` or ``clip``: weight decay applies to clips, as in PACT, but not
to steps (see :func:`spos.training.optimizer.make_optimizer`).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from spos._util.errors import UserError, nearest

#: Largest bit-width of a quantised weight or activation.
MOST_BITS = 8
#: Lower bound applied to steps and clips, which training may move to 0 or below.
MIN_STEP = 1e-5
#: Mean of a standard normal variable after a ReLU.
_RECTIFIED_MEAN = 1 / math.sqrt(2 * math.pi)


class Quantiser(nn.Module):
    """Base of the quantisers.

    Args:
        bits (int): bits per value, 1 to 8.
        weight (Tensor | None): weight to quantise, if it is one; unused here.

    Raises:
        UserError: ``bits`` is not an integer from 1 to 8.
    """

    def __init__(self, bits: int, weight: Tensor | None = None) -> None:
        super().__init__()
        if isinstance(bits, bool) or not isinstance(bits, int) or not 1 <= bits <= MOST_BITS:
            raise UserError(f"{bits!r} bits: a quantiser has 1 to {MOST_BITS}")
        self.bits, self.levels = bits, 2**bits - 1

    def reset_parameters(self, weight: Tensor | None = None) -> None:
        """Set what is learned to what it begins with; nothing by default.

        Args:
            weight (Tensor | None): weight to quantise; None where it is not known, which leaves
                what begins with it.
        """

    def extra_repr(self) -> str:
        return f"bits={self.bits}"


class DoReFaWeight(Quantiser):
    """DoReFa weight quantiser: evenly spaced levels in [-1, 1] after a tanh.

    With one bit, the value is the sign of a weight times the mean magnitude of the layer.

    Args:
        bits (int): bits per weight, 1 to 8.
        weight (Tensor | None): weight to quantise; unused by this quantiser.

    Source: Zhou et al., "DoReFa-Net", 2016, Section 2.3; for one bit, Rastegari et al.,
    "XNOR-Net", ECCV 2016, with one scale per layer.

    Example:
        >>> DoReFaWeight(2)(torch.tensor([-3.0, -0.2, 0.2, 3.0]))
        tensor([-1.0000, -0.3333,  0.3333,  1.0000])
        >>> DoReFaWeight(1)(torch.tensor([-3.0, 1.0]))
        tensor([-2.,  2.])
    """

    def forward(self, weight: Tensor) -> Tensor:
        if self.bits == 1:
            return _straight_through(_sign(weight) * weight.abs().mean(), weight)
        bent = weight.tanh()
        unit = bent / (2 * bent.abs().max().clamp(min=MIN_STEP)) + 0.5
        return 2 * _straight_through((unit * self.levels).round() / self.levels, unit) - 1


class LearnedStepWeight(Quantiser):
    """LSQ weight quantiser: multiples of a learned step, -2**(bits - 1) to 2**(bits - 1) - 1.

    With one bit the levels are -1 and 1 times the step, so that the two values are a sign.
    The step is initialised to twice the mean magnitude divided by the square root of the highest
    level, as in the paper; with one bit to the mean magnitude, the least-squares fit of two levels.

    Args:
        bits (int): bits per weight, 1 to 8.
        weight (Tensor): weight to quantise, from which the step is initialised.

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
        super().__init__(bits)
        self.least = -(2 ** (bits - 1))
        self.most = max(1, 2 ** (bits - 1) - 1)
        self.step = nn.Parameter(torch.empty((), dtype=weight.dtype, device=weight.device))
        self.reset_parameters(weight)

    def reset_parameters(self, weight: Tensor | None = None) -> None:
        # On the meta device it has no values; to find that out, torch would import its compiler.
        if weight is None or weight.is_meta:
            return
        mean = weight.detach().abs().mean()
        with torch.no_grad():
            self.step.copy_(mean if self.bits == 1 else 2 * mean / math.sqrt(self.most))

    def forward(self, weight: Tensor) -> Tensor:
        step = _scale_step_gradient(self.step, weight.numel() * self.most)
        ratio = (weight / step).clamp(self.least, self.most)
        return _straight_through(_sign(ratio) if self.bits == 1 else ratio.round(), ratio) * step


class ClippedActivation(Quantiser):
    """PACT activation quantiser: evenly spaced levels from 0 to a learned clip.

    The clip is initialised to the highest level of :class:`LearnedStepActivation`. With the paper's
    larger constant, two bits would round most of a normalised input to 0.

    Args:
        bits (int): bits per activation, 1 to 8.

    Source: Choi et al., "PACT: Parameterized Clipping Activation for Quantized Neural Networks",
    2018, Section 3.

    Example:
        >>> quantiser = ClippedActivation(2)
        >>> _ = torch.nn.init.constant_(quantiser.clip, 3.0)
        >>> quantiser(torch.tensor([[-1.0, 0.6, 1.4, 9.0]])).detach()
        tensor([[0., 1., 1., 3.]])
    """

    def __init__(self, bits: int) -> None:
        super().__init__(bits)
        self.clip = nn.Parameter(torch.empty(()))
        self.reset_parameters()

    def reset_parameters(self, weight: Tensor | None = None) -> None:
        nn.init.constant_(self.clip, _initial_step(self.levels) * self.levels)

    def forward(self, x: Tensor) -> Tensor:
        clip = _straight_through(self.clip.clamp(min=MIN_STEP), self.clip)
        clipped = torch.minimum(x.relu(), clip)
        step = clip / self.levels
        return _straight_through((clipped / step).round() * step, clipped)


class LearnedStepActivation(Quantiser):
    """LSQ activation quantiser: multiples of a learned step, from 0 to 2**bits - 1.

    The step is initialised to twice the mean activation divided by the square root of the highest
    level, as in the paper. The mean is that of a batch norm followed by a ReLU, so that the result
    does not depend on the first batch.

    Args:
        bits (int): bits per activation, 1 to 8.

    Source: Esser et al., "Learned Step Size Quantization", ICLR 2020, Section 2.

    Example:
        >>> quantiser = LearnedStepActivation(2)
        >>> _ = torch.nn.init.constant_(quantiser.step, 0.5)
        >>> quantiser(torch.tensor([[-1.0, 0.3, 1.1, 9.0]])).detach()
        tensor([[0.0000, 0.5000, 1.0000, 1.5000]])
    """

    def __init__(self, bits: int) -> None:
        super().__init__(bits)
        self.step = nn.Parameter(torch.empty(()))
        self.reset_parameters()

    def reset_parameters(self, weight: Tensor | None = None) -> None:
        nn.init.constant_(self.step, _initial_step(self.levels))

    def forward(self, x: Tensor) -> Tensor:
        step = _scale_step_gradient(self.step, x[0].numel() * self.levels)
        ratio = (x / step).clamp(0, self.levels)
        return _straight_through(ratio.round(), ratio) * step


#: Weight quantisers by name, called with the bit-width and the weight.
WEIGHTS: dict[str, type[Quantiser]] = {"dorefa": DoReFaWeight, "lsq": LearnedStepWeight}
#: Activation quantisers by name, called with the bit-width.
ACTIVATIONS: dict[str, type[Quantiser]] = {"pact": ClippedActivation, "lsq": LearnedStepActivation}


def check_quantisers(weights: str, activations: str) -> None:
    """Check the names of a pair of quantisers.

    Args:
        weights (str): name of a weight quantiser, one of :data:`WEIGHTS`.
        activations (str): name of an activation quantiser, one of :data:`ACTIVATIONS`.

    Raises:
        UserError: a quantiser is unknown.
    """
    given = (("weight", weights, WEIGHTS), ("activation", activations, ACTIVATIONS))
    for kind, name, known in given:
        if name not in known:
            raise UserError(f"unknown {kind} quantiser '{name}': {nearest(name, known)}")


def _straight_through(value: Tensor, through: Tensor) -> Tensor:
    """Return one tensor in the forward pass and propagate the gradient to another."""
    # The order matters: the difference is exactly 0, so the sum equals ``value`` exactly.
    return value.detach() + (through - through.detach())


def _scale_step_gradient(step: Tensor, count: int) -> Tensor:
    """Scale the gradient of a step by one over the square root of ``count``, as in LSQ."""
    return _straight_through(step.clamp(min=MIN_STEP), step * count**-0.5)


def _sign(x: Tensor) -> Tensor:
    # torch.sign would map 0 to 0, which is not one of the two levels.
    return 2 * (x >= 0).to(x.dtype) - 1


def _initial_step(levels: int) -> float:
    return 2 * _RECTIFIED_MEAN / math.sqrt(levels)
