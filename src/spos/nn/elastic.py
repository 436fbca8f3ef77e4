"""Layers of searchable width: one weight of the largest size, of which a slice is used.

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
        inputs: input channels, a number or a :class:`Width`.
        outputs: output channels, likewise; of a depthwise convolution the same object as inputs.
        kernel_size: the side of the kernel.
        stride: of the convolution.
        padding: zeros around the input.
        dilation: the distance between the points of the kernel.
        depthwise: one filter for each channel.
        bias: whether a bias is added.

    Raises:
        UserError: a depthwise convolution has other outputs than inputs.

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
        # A plain layer of the largest size: its weights are initialised, decayed and written down
        # as those of any convolution.
        self.full = self._layer(self.inputs.largest, self.outputs.largest, kernel_size, bias)

    def _layer(self, inputs: int, outputs: int, kernel_size: int, bias: bool) -> nn.Conv2d:
        groups = inputs if self.depthwise else 1
        return nn.Conv2d(
            inputs,
            outputs,
            kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            groups,
            bias,
            device=None if not hasattr(self, "full") else self.full.weight.device,
            dtype=None if not hasattr(self, "full") else self.full.weight.dtype,
        )

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
        layer = self._layer(
            self.inputs.current,
            self.outputs.current,
            self.full.kernel_size[0],
            self.full.bias is not None,
        )
        return _filled(layer, self, *self._sliced())


class ElasticLinear(Searchable):
    """A linear layer whose input and output features are searched.

    Args:
        inputs: input features, a number or a :class:`Width`.
        outputs: output features, likewise.
        bias: whether a bias is added.

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
        layer = nn.Linear(
            weight.shape[1],
            weight.shape[0],
            bias is not None,
            device=weight.device,
            dtype=weight.dtype,
        )
        return _filled(layer, self, weight, bias)


class ElasticLayerNorm(Searchable):
    """A layer norm over searched features, the last dimension.

    Args:
        features: a number or a :class:`Width`.
        eps: added to the variance.

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
        size, weight = self.features.current, self.full.weight
        layer = nn.LayerNorm(size, self.full.eps, device=weight.device, dtype=weight.dtype)
        return _filled(layer, self, weight[:size], self.full.bias[:size])


class ElasticBatchNorm2d(Searchable):
    """A batch norm over searched channels, whose statistics are slices, too.

    The statistics of a supernet are a mixture over all paths, so they serve no path: recalibrate
    (:func:`spos.search.evaluation.recalibrate`) before measuring one.

    Args:
        features: channels, a number or a :class:`Width`.
        eps: added to the variance.
        momentum: of the running statistics.

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
                # The mean over all batches, as torch's own.
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
        # Through a copy: a supernet may have taken the affine parameters away, and gives them back.
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


def _filled(layer: nn.Module, like: nn.Module, weight: Tensor, bias: Tensor | None) -> nn.Module:
    """A layer with the values of slices, in their memory format."""
    for name, value in (("weight", weight), ("bias", bias)):
        if value is not None:
            setattr(layer, name, nn.Parameter(value.detach().clone()))
    return layer.train(like.training)
