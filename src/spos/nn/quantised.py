"""Quantised convolutions with fixed or searchable bit-widths.

All bit-widths share one weight; each has its own learned step and clip.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, cast

from torch import Tensor, nn
from torch.nn import functional as F

from spos._util.errors import UserError
from spos.nn.bits import BitPair, Bits
from spos.nn.elastic import ElasticConv2d, Size
from spos.nn.quantisers import ACTIVATIONS, WEIGHTS, Quantiser, check_quantisers

#: Default quantisers; docs/bits.md gives the measurements behind them.
WEIGHT_QUANTISER, ACTIVATION_QUANTISER = "lsq", "pact"


class FixedBitsConv2d(nn.Module):
    """A convolution whose weights and inputs have fixed bit-widths.

    Inputs should be non-negative, as after a ReLU; negative values become 0. torch.fx traces the
    layer into torch operations only.

    Args:
        convolution (nn.Conv2d): layer to quantise, whose weight is reused; it has no bias, because
            a batch norm is expected to follow.
        pair (BitPair): bits per weight and per activation.
        weights (str): weight quantiser, ``dorefa`` or ``lsq``.
        activations (str): input quantiser, ``pact`` or ``lsq``.

    Raises:
        UserError: the convolution has a bias or a padding mode other than zeros, or a quantiser is
            unknown.

    Example:
        >>> import torch
        >>> layer = FixedBitsConv2d(nn.Conv2d(3, 8, 3, bias=False), BitPair(2, 2))
        >>> layer(torch.zeros(1, 3, 5, 5)).shape
        torch.Size([1, 8, 3, 3])
    """

    def __init__(
        self,
        convolution: nn.Conv2d,
        pair: BitPair,
        *,
        weights: str = WEIGHT_QUANTISER,
        activations: str = ACTIVATION_QUANTISER,
    ) -> None:
        super().__init__()
        check_quantisers(weights, activations)
        if convolution.bias is not None:
            raise UserError("a quantised convolution has no bias: give one with bias=False")
        if convolution.padding_mode != "zeros":
            raise UserError(
                f"padding_mode {convolution.padding_mode}: a quantised convolution pads with zeros"
            )
        self.pair = pair
        self.weight = convolution.weight
        self.stride, self.padding = convolution.stride, convolution.padding
        self.dilation, self.groups = convolution.dilation, convolution.groups
        self.weight_quantiser: Any = WEIGHTS[weights](pair.weights, self.weight)
        self.activation_quantiser: Any = ACTIVATIONS[activations](pair.activations)

    def reset_parameters(self) -> None:
        """Draw the weight anew as a convolution does, and set what is learned beside it."""
        # Those that are frozen are no start of a training.
        if self.weight.requires_grad:
            nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))
            self.weight_quantiser.reset_parameters(self.weight)
        self.activation_quantiser.reset_parameters()

    def forward(self, x: Tensor) -> Tensor:
        x, weight = self.activation_quantiser(x), self.weight_quantiser(self.weight)
        return F.conv2d(x, weight, None, self.stride, self.padding, self.dilation, self.groups)

    def extra_repr(self) -> str:
        return f"{self.pair}, stride={self.stride}, padding={self.padding}"


class QuantisedConv2d(ElasticConv2d):
    """A convolution with searchable bit-widths and, optionally, searchable channels.

    Args:
        inputs (Size): number of input channels, fixed or a :class:`spos.nn.Width`.
        outputs (Size): number of output channels, fixed or a :class:`spos.nn.Width`.
        kernel_size (int): side of the square kernel, in pixels.
        bits (Bits): choice of the bit-widths; pass the same object to all layers that share it.
        stride (int): stride of the convolution, in pixels.
        padding (int): zero padding on each side of the input, in pixels.
        weights (str): weight quantiser, ``dorefa`` or ``lsq``.
        activations (str): input quantiser, ``pact`` or ``lsq``.

    Raises:
        UserError: a quantiser is unknown.

    Source: Guo et al., Section 3.4 (mixed-precision quantisation search).

    Example:
        >>> import torch
        >>> bits = Bits(["w1a2", "w4a4"])
        >>> layer = QuantisedConv2d(3, 8, 3, bits, padding=1)
        >>> bits.activate("w4a4")
        >>> layer(torch.ones(1, 3, 4, 4)).shape
        torch.Size([1, 8, 4, 4])
    """

    def __init__(
        self,
        inputs: Size,
        outputs: Size,
        kernel_size: int,
        bits: Bits,
        stride: int = 1,
        padding: int = 0,
        *,
        weights: str = WEIGHT_QUANTISER,
        activations: str = ACTIVATION_QUANTISER,
    ) -> None:
        check_quantisers(weights, activations)
        super().__init__(inputs, outputs, kernel_size, stride, padding, bias=False)
        self.bits, self.weights, self.activations = bits, weights, activations
        of_weights, of_inputs = (sorted(set(counts)) for counts in zip(*bits.pairs, strict=True))
        self.weight_quantisers = nn.ModuleDict(
            {str(count): WEIGHTS[weights](count, self.full.weight) for count in of_weights}
        )
        self.activation_quantisers = nn.ModuleDict(
            {str(count): ACTIVATIONS[activations](count) for count in of_inputs}
        )

    def reset_parameters(self) -> None:
        """Draw the weight anew, and set what is learned beside it."""
        if self.full.weight.requires_grad:
            self.full.reset_parameters()
            for quantiser in self.weight_quantisers.values():
                cast(Quantiser, quantiser).reset_parameters(self.full.weight)
        for quantiser in self.activation_quantisers.values():
            cast(Quantiser, quantiser).reset_parameters()

    def _active(self) -> tuple[nn.Module, nn.Module]:
        """Return the quantisers of the weights and of the inputs on the active path."""
        weights, activations = map(str, self.bits.current)
        return self.weight_quantisers[weights], self.activation_quantisers[activations]

    def forward(self, x: Tensor) -> Tensor:
        of_weights, of_inputs = self._active()
        weight = of_weights(self._sliced()[0])
        return F.conv2d(of_inputs(x), weight, None, self.stride, self.padding)

    def plain(self, copy: Callable[[nn.Module], nn.Module]) -> Any:
        kinds = {"weights": self.weights, "activations": self.activations}
        fixed = FixedBitsConv2d(super().plain(copy), self.bits.current, **kinds)
        fixed.weight_quantiser, fixed.activation_quantiser = map(copy, self._active())
        return fixed.train(self.training)
