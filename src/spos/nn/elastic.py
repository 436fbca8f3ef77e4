"""Layers of searchable width, which use a slice of one weight of the largest size.

Sources: Guo et al., Section 3.4 (weight preallocation for channel search); Stamoulis et al.,
"Single-Path NAS", 2019, and Cai et al., "Once-for-All", ICLR 2020, for sharing slices.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spos._util.errors import UserError
from spos.nn.region import use
from spos.nn.searchable import Searchable
from spos.nn.width import FixedWidth, Width, as_width

Size = int | Width | FixedWidth


class ElasticConv2d(Searchable):
    """A convolution whose input and output channels are searched.

    Args:
        inputs (Size): number of input channels, fixed or a :class:`Width`.
        outputs (Size): number of output channels, fixed or a :class:`Width`; for a depthwise
            convolution the same object as ``inputs``.
        kernel_size (int): side of the square kernel, in pixels.
        stride (int): stride of the convolution, in pixels.
        padding (int): zero padding on each side of the input, in pixels.
        dilation (int): spacing between kernel elements, in pixels.
        depthwise (bool): whether each channel has its own filter.
        bias (bool): whether the layer has a bias.

    Raises:
        UserError: ``inputs`` and ``outputs`` of a depthwise convolution differ.

    Example:
        >>> width = Width([4, 8])
        >>> layer = ElasticConv2d(3, width, 3, padding=1)
        >>> layer(torch.zeros(1, 3, 8, 8)).shape
        torch.Size([1, 4, 8, 8])
        >>> width.activate("8")
        >>> layer(torch.zeros(1, 3, 8, 8)).shape
        torch.Size([1, 8, 8, 8])
    """

    def __init__(
        self,
        inputs: Size,
        outputs: Size,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        dilation: int = 1,
        *,
        depthwise: bool = False,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if depthwise and inputs is not outputs and inputs != outputs:
            raise UserError("a depthwise convolution has as many outputs as inputs: give one width")
        self.inputs, self.outputs = as_width(inputs), as_width(outputs)
        self.stride, self.padding, self.dilation = stride, padding, dilation
        self.depthwise = depthwise
        # The weights belong to an ordinary layer of the largest size, so that they are initialised,
        # decayed and saved like those of any convolution.
        self.full = self._layer(self.inputs.largest, self.outputs.largest, kernel_size, bias)

    def _layer(
        self, inputs: int, outputs: int, kernel_size: int, bias: bool, device: str | None = None
    ) -> nn.Conv2d:
        groups = inputs if self.depthwise else 1
        sizes = (kernel_size, self.stride, self.padding, self.dilation, groups)
        return nn.Conv2d(inputs, outputs, *sizes, bias, device=device)

    def _sliced(self) -> tuple[Tensor, Tensor | None]:
        outputs = self.outputs.current
        inputs = 1 if self.depthwise else self.inputs.current
        weight, bias = self.full.weight, self.full.bias
        return use(weight, outputs, inputs), None if bias is None else use(bias, outputs)

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self._sliced()
        groups = self.inputs.current if self.depthwise else 1
        return F.conv2d(x, weight, bias, self.stride, self.padding, self.dilation, groups)

    def plain(self, copy: Callable[[nn.Module], nn.Module]) -> nn.Module:
        side, bias = self.full.kernel_size[0], self.full.bias is not None
        layer = self._layer(self.inputs.current, self.outputs.current, side, bias, "meta")
        return _assign(layer, self, *self._sliced())


class ElasticLinear(Searchable):
    """A linear layer whose input and output features are searched.

    Args:
        inputs (Size): number of input features, fixed or a :class:`Width`.
        outputs (Size): number of output features, fixed or a :class:`Width`.
        bias (bool): whether the layer has a bias.

    Example:
        >>> width = Width([4, 8])
        >>> ElasticLinear(width, 10)(torch.zeros(2, 4)).shape
        torch.Size([2, 10])
    """

    def __init__(self, inputs: Size, outputs: Size, *, bias: bool = True) -> None:
        super().__init__()
        self.inputs, self.outputs = as_width(inputs), as_width(outputs)
        self.full = nn.Linear(self.inputs.largest, self.outputs.largest, bias)

    def _sliced(self) -> tuple[Tensor, Tensor | None]:
        weight = use(self.full.weight, self.outputs.current, self.inputs.current)
        bias: Tensor | None = self.full.bias
        return weight, None if bias is None else use(bias, self.outputs.current)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, *self._sliced())

    def plain(self, copy: Callable[[nn.Module], nn.Module]) -> nn.Module:
        weight, bias = self._sliced()
        layer = nn.Linear(weight.shape[1], weight.shape[0], bias is not None, device="meta")
        return _assign(layer, self, weight, bias)


class ElasticLayerNorm(Searchable):
    """A layer norm over a last dimension of searchable size.

    Args:
        features (Size): size of the last dimension, fixed or a :class:`Width`.
        eps (float): value added to the variance, above 0.

    Example:
        >>> ElasticLayerNorm(Width([4, 8]))(torch.zeros(2, 4)).shape
        torch.Size([2, 4])
    """

    def __init__(self, features: Size, eps: float = 1e-5) -> None:
        super().__init__()
        self.features = as_width(features)
        self.full = nn.LayerNorm(self.features.largest, eps)

    def forward(self, x: Tensor) -> Tensor:
        size = self.features.current
        weight, bias = use(self.full.weight, size), use(self.full.bias, size)
        return F.layer_norm(x, (size,), weight, bias, self.full.eps)

    def plain(self, copy: Callable[[nn.Module], nn.Module]) -> nn.Module:
        size = self.features.current
        layer = nn.LayerNorm(size, self.full.eps, device="meta")
        return _assign(layer, self, self.full.weight[:size], self.full.bias[:size])


class ElasticBatchNorm2d(Searchable):
    """A batch norm over a searchable number of channels; its statistics are sliced as well.

    The running statistics of a supernet are mixed over all paths and fit none of them: recalibrate
    them (:func:`spos.search.evaluation.recalibrate`) before evaluating a path.

    Args:
        features (Size): number of channels, fixed or a :class:`Width`.
        eps (float): value added to the variance, above 0.
        momentum (float): weight of a new batch in the running statistics, in [0, 1].

    Example:
        >>> ElasticBatchNorm2d(Width([4, 8]))(torch.zeros(2, 4, 3, 3)).shape
        torch.Size([2, 4, 3, 3])
    """

    def __init__(self, features: Size, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        self.features = as_width(features)
        self.full = nn.BatchNorm2d(self.features.largest, eps, momentum)

    def forward(self, x: Tensor) -> Tensor:
        full, size = self.full, self.features.current
        mean, variance = full.running_mean, full.running_var
        weight, bias = (full.weight, full.bias) if full.affine else (None, None)
        factor = 0.0 if full.momentum is None else full.momentum
        if full.training and full.num_batches_tracked is not None:
            full.num_batches_tracked.add_(1)
            if full.momentum is None:
                # Without a momentum, torch averages the statistics over all batches.
                factor = 1 / float(full.num_batches_tracked)
        return F.batch_norm(
            x,
            None if mean is None else mean[:size],
            None if variance is None else variance[:size],
            None if weight is None else use(weight, size),
            None if bias is None else use(bias, size),
            full.training or mean is None,
            factor,
            full.eps,
        )

    def plain(self, copy: Callable[[nn.Module], nn.Module]) -> nn.Module:
        # ``copy`` restores the affine parameters that the supernet may have removed.
        layer = copy(self.full)
        assert isinstance(layer, nn.BatchNorm2d)
        size = layer.num_features = self.features.current
        with torch.no_grad():
            for name, parameter in list(layer.named_parameters()):
                setattr(layer, name, nn.Parameter(parameter[:size].clone()))
            for name in ("running_mean", "running_var"):
                statistics = getattr(layer, name)
                setattr(layer, name, None if statistics is None else statistics[:size].clone())
        return layer


def _assign(layer: nn.Module, like: nn.Module, weight: Tensor, bias: Tensor | None) -> nn.Module:
    """Give a layer the values of slices, in the memory format of the slices."""
    for name, value in (("weight", weight), ("bias", bias)):
        if value is not None:
            setattr(layer, name, nn.Parameter(value.detach().clone()))
    return layer.train(like.training)
