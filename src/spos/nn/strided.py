"""Convolutions with a searchable stride."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from spos._util.errors import UserError
from spos.nn.choice import ChoiceModule
from spos.nn.elastic import ElasticConv2d, Size


class Stride(ChoiceModule):
    """A choice of a stride for one or more convolutions.

    Args:
        strides (Iterable[int]): strides in pixels, each at least 1; the option for stride 2 is
            named ``stride2``.
        name (str | None): name of the choice (see :class:`spos.nn.ChoiceModule`).

    Raises:
        UserError: ``strides`` is empty, or a stride is below 1.

    Example:
        >>> stride = Stride([1, 2])
        >>> stride.activate("stride2")
        >>> stride.current
        2
    """

    def __init__(self, strides: Iterable[int], name: str | None = None) -> None:
        self.strides = tuple(strides)
        super().__init__(tuple(f"stride{stride}" for stride in self.strides), name)
        if min(self.strides) < 1:
            raise UserError(f"strides {', '.join(map(str, self.strides))}: each must be at least 1")

    @property
    def current(self) -> int:
        """Stride on the active path."""
        return self.strides[self.active]

    def plain(self, copy: Callable[[nn.Module], nn.Module]) -> nn.Module:
        # A stride has no forward pass: the convolutions that read it have copied its value.
        return nn.Identity()

    def extra_repr(self) -> str:
        return f"strides={self.strides}, active={self.current}"


class StridedConv2d(ElasticConv2d):
    """A convolution with a searchable stride and, optionally, searchable channels.

    All strides share one weight. The padding is such that a stride of 1 keeps the height and width
    of the input, and a stride of 2 halves them, rounded up.

    Args:
        inputs (Size): number of input channels, fixed or a :class:`spos.nn.Width`.
        outputs (Size): number of output channels, fixed or a :class:`spos.nn.Width`.
        kernel_size (int): side of the square kernel in pixels, odd.
        stride (Stride): choice of the stride.
        bias (bool): whether the layer has a bias.

    Raises:
        UserError: ``kernel_size`` is even or below 1.

    Example:
        >>> import torch
        >>> stride = Stride([1, 2])
        >>> layer = StridedConv2d(3, 8, 5, stride)
        >>> stride.activate("stride2")
        >>> layer(torch.zeros(1, 3, 7, 7)).shape
        torch.Size([1, 8, 4, 4])
    """

    def __init__(
        self, inputs: Size, outputs: Size, kernel_size: int, stride: Stride, *, bias: bool = True
    ) -> None:
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise UserError(
                f"kernel_size {kernel_size}: must be odd; nearest valid: {max(1, kernel_size + 1)}"
            )
        super().__init__(inputs, outputs, kernel_size, padding=kernel_size // 2, bias=bias)
        self.searched_stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, *self._sliced(), self.searched_stride.current, self.padding)

    def _facts(self) -> dict[str, Any]:
        return {**super()._facts(), "stride": (self.searched_stride.current,) * 2}
