"""A convolution whose stride is searched."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from torch import Tensor, nn
from torch.nn import functional as F

from spos._util.errors import UserError
from spos.nn.choice import ChoiceModule
from spos.nn.elastic import ElasticConv2d, Size


class Stride(ChoiceModule):
    """A choice of a stride, read by every convolution that it is given to.

    Args:
        strides: the strides, each at least 1; ``stride2`` is the name of the option for 2.
        name: the name of the choice (see :class:`spos.nn.ChoiceModule`).

    Raises:
        UserError: there is no stride, or one is below 1.

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
        """The active stride."""
        return self.strides[self.active]

    def plain(self, copy: Callable[[nn.Module], nn.Module]) -> nn.Module:
        # It has no forward of its own: what reads it knows its stride by then.
        return nn.Identity()

    def extra_repr(self) -> str:
        return f"strides={self.strides}, active={self.current}"


class StridedConv2d(ElasticConv2d):
    """A convolution whose stride is searched, and its channels, too, where they are widths.

    All strides share one weight. It is padded so that a stride of 1 keeps the sides, and a stride
    of 2 halves them, rounded up.

    Args:
        inputs: input channels, a number or a :class:`spos.nn.Width`.
        outputs: output channels, likewise.
        kernel_size: the side of the kernel, odd.
        stride: the choice of the stride.
        bias: whether a bias is added.

    Raises:
        UserError: the side of the kernel is even.

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

    def plain(self, copy: Callable[[nn.Module], nn.Module]) -> nn.Module:
        layer = super().plain(copy)
        assert isinstance(layer, nn.Conv2d)
        layer.stride = (self.searched_stride.current,) * 2
        return layer
