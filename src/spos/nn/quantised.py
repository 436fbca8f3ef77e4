"""Quantised convolutions with fixed or searchable bit-widths.

All bit-widths share one weight; each has its own learned step and clip.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional as F

from spos._util.errors import UserError
from spos.nn.bits import BitPair, Bits
from spos.nn.elastic import Size
from spos.nn.quantisers import ACTIVATIONS, WEIGHTS, check_quantisers
from spos.nn.region import use
from spos.nn.searchable import Searchable
from spos.nn.width import as_width

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
        self.weight_quantiser = WEIGHTS[weights](pair.weights, self.weight)
        self.activation_quantiser = ACTIVATIONS[activations](pair.activations)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(
            self.activation_quantiser(x),
            self.weight_quantiser(self.weight),
            None,
            self.stride,
            self.padding,
            self.dilation,
            self.groups,
        )

    def extra_repr(self) -> str:
        return f"{self.pair}, stride={self.stride}, padding={self.padding}"


class QuantisedConv2d(Searchable):
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
        super().__init__()
        check_quantisers(weights, activations)
        self.inputs, self.outputs, self.bits = as_width(inputs), as_width(outputs), bits
        self.stride, self.padding = stride, padding
        self.weights, self.activations = weights, activations
        # The weights belong to an ordinary layer of the largest size, so that they are initialised,
        # decayed and saved like those of any convolution.
        self.full = nn.Conv2d(
            self.inputs.largest,
            self.outputs.largest,
            kernel_size,
            stride,
            padding,
            bias=False,
        )
        self.weight_quantisers = nn.ModuleDict(
            {
                str(count): WEIGHTS[weights](count, self.full.weight)
                for count in sorted({pair.weights for pair in bits.pairs})
            }
        )
        self.activation_quantisers = nn.ModuleDict(
            {
                str(count): ACTIVATIONS[activations](count)
                for count in sorted({pair.activations for pair in bits.pairs})
            }
        )

    def _active(self) -> tuple[Tensor, nn.Module, nn.Module]:
        """Return the active weight slice, weight quantiser and input quantiser."""
        pair = self.bits.current
        return (
            use(self.full.weight, self.outputs.current, self.inputs.current),
            self.weight_quantisers[str(pair.weights)],
            self.activation_quantisers[str(pair.activations)],
        )

    def forward(self, x: Tensor) -> Tensor:
        weight, of_weights, of_inputs = self._active()
        return F.conv2d(of_inputs(x), of_weights(weight), None, self.stride, self.padding)

    def plain(self, copy: Callable[[nn.Module], nn.Module]) -> nn.Module:
        weight, of_weights, of_inputs = self._active()
        side = self.full.kernel_size[0]
        layer = nn.Conv2d(
            weight.shape[1],
            weight.shape[0],
            side,
            self.stride,
            self.padding,
            bias=False,
            device="meta",
        )
        # A clone keeps the memory format. Another format would change the order of summation, and
        # with it the floating-point result.
        layer.weight = nn.Parameter(weight.detach().clone())
        fixed = FixedBitsConv2d(
            layer, self.bits.current, weights=self.weights, activations=self.activations
        )
        fixed.weight_quantiser = copy(of_weights)
        fixed.activation_quantiser = copy(of_inputs)
        return fixed.train(self.training)
