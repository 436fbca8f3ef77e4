"""Layers of searchable width, which use a slice of one weight of the largest size.

Sources: Guo et al., Section 3.4 (weight preallocation for channel search); Stamoulis et al.,
"Single-Path NAS", 2019, and Cai et al., "Once-for-All", ICLR 2020, for sharing slices.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spos._util.errors import UserError
from spos.nn.choice import Searchable
from spos.nn.region import use
from spos.nn.width import FixedWidth, Width, as_width

Size = int | Width | FixedWidth


class _Elastic(Searchable):
    """A layer that uses the leading entries of the parameters and buffers of ``full``.

    ``full`` is an ordinary layer of the largest size, so that it is initialised, decayed and saved
    like any other.
    """

    full: Any

    @abstractmethod
    def _sizes(self) -> tuple[int, ...]:
        """Number of used entries along each leading dimension of the weight."""

    def _sliced(self) -> tuple[Any, Any]:
        sizes, weight, bias = self._sizes(), self.full.weight, self.full.bias
        used = None if weight is None else use(weight, *sizes)
        return used, None if bias is None else use(bias, sizes[0])

    @abstractmethod
    def _facts(self) -> dict[str, Any]:
        """Attributes of ``full`` that differ where it has nothing but the used entries."""

    def plain(self, copy: Callable[[nn.Module], nn.Module]) -> Any:
        """Copy ``full`` with nothing but the used entries."""
        # ``copy`` restores the affine parameters that the supernet may have removed.
        layer, sizes = copy(self.full), self._sizes()
        for name, tensor in layer.state_dict(keep_vars=True).items():
            with torch.no_grad():
                # A clone keeps the memory format. Another format would change the order of
                # summation, and with it the floating-point result.
                part = tensor[tuple(map(slice, sizes[: tensor.dim()]))].clone()
            if isinstance(tensor, nn.Parameter):
                part = nn.Parameter(part, tensor.requires_grad)
            setattr(layer, name, part)
        vars(layer).update(self._facts())
        return layer


class ElasticConv2d(_Elastic):
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
        widest, groups = self.inputs.largest, self.inputs.largest if depthwise else 1
        sizes = (kernel_size, stride, padding, dilation, groups)
        self.full = nn.Conv2d(widest, self.outputs.largest, *sizes, bias)

    def _groups(self) -> int:
        return self.inputs.current if self.depthwise else 1

    def _sizes(self) -> tuple[int, ...]:
        return self.outputs.current, 1 if self.depthwise else self.inputs.current

    def forward(self, x: Tensor) -> Tensor:
        return self._conv_forward(x, *self._sliced())

    def _conv_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        settings = (self.stride, self.padding, self.dilation, self._groups())
        return F.conv2d(x, weight, bias, *settings)

    def _facts(self) -> dict[str, Any]:
        channels = {"in_channels": self.inputs.current, "out_channels": self.outputs.current}
        return {**channels, "groups": self._groups()}


class ElasticLinear(_Elastic):
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

    def _sizes(self) -> tuple[int, ...]:
        return self.outputs.current, self.inputs.current

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, *self._sliced())

    def _facts(self) -> dict[str, Any]:
        return {"in_features": self.inputs.current, "out_features": self.outputs.current}


class ElasticLayerNorm(_Elastic):
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

    def _sizes(self) -> tuple[int, ...]:
        return (self.features.current,)

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self._sizes(), *self._sliced(), self.full.eps)

    def _facts(self) -> dict[str, Any]:
        return {"normalized_shape": self._sizes()}


class ElasticBatchNorm2d(_Elastic):
    """A batch norm over a searchable number of channels; its statistics are sliced as well.

    The running statistics of a supernet are mixed over all paths and fit none of them: recalibrate
    them (:func:`spos.search.recalibration.recalibrate`) before evaluating a path.

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

    def _sizes(self) -> tuple[int, ...]:
        return (self.features.current,)

    def forward(self, x: Tensor) -> Tensor:
        full, size = self.full, self.features.current
        statistics = (full.running_mean, full.running_var)
        mean, variance = (None if one is None else one[:size] for one in statistics)
        factor = 0.0 if full.momentum is None else full.momentum
        if full.training and full.num_batches_tracked is not None:
            full.num_batches_tracked.add_(1)
            if full.momentum is None:
                # Without a momentum, torch averages the statistics over all batches.
                factor = 1 / float(full.num_batches_tracked)
        batch = full.training or mean is None
        return F.batch_norm(x, mean, variance, *self._sliced(), batch, factor, full.eps)

    def _facts(self) -> dict[str, Any]:
        return {"num_features": self.features.current}
