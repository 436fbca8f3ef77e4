"""Convolutions that compute with few bits, fixed or searched.

One weight serves all bit-widths; the learned steps and clips of each bit-width are its own.
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

#: The quantisers that a quantised layer has unless it is given others (docs/bits.md says why).
WEIGHT_QUANTISER, ACTIVATION_QUANTISER = "lsq", "pact"


class FixedBitsConv2d(nn.Module):
    """A convolution whose weights and inputs have fixed numbers of bits.

    Its inputs are not negative, such as those behind a ReLU: what is, becomes 0. torch.fx writes it
    as operations of torch alone.

    Args:
        convolution: the layer to quantise, whose weight it takes over; without a bias, because a
            batch norm follows.
        pair: the bits of weights and activations.
        weights: the quantiser of the weights, ``dorefa`` or ``lsq``.
        activations: the quantiser of the inputs, ``pact`` or ``lsq``.

    Raises:
        UserError: the convolution has a bias or pads with other values than zeros, or there is no
            such quantiser.

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
    """A convolution whose bit-widths are searched, and its channels, if they are widths.

    Args:
        inputs: input channels, a number or a :class:`spos.nn.Width`.
        outputs: output channels, likewise.
        kernel_size: the side of the kernel.
        bits: the choice of the bits; give one object to all layers that share it.
        stride: of the convolution.
        padding: zeros around the input.
        weights: the quantiser of the weights, ``dorefa`` or ``lsq``.
        activations: the quantiser of the inputs, ``pact`` or ``lsq``.

    Raises:
        UserError: there is no such quantiser.

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
        # A plain layer of the largest size: its weights are initialised, decayed and written down
        # as those of any convolution.
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
        """The slice of the weight, and the quantisers of weights and of inputs."""
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
        # A clone keeps the memory format: sums over the weight in another order are another value.
        layer.weight = nn.Parameter(weight.detach().clone())
        fixed = FixedBitsConv2d(
            layer, self.bits.current, weights=self.weights, activations=self.activations
        )
        fixed.weight_quantiser = copy(of_weights)
        fixed.activation_quantiser = copy(of_inputs)
        return fixed.train(self.training)
