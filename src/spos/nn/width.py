"""Searchable numbers of channels or features."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from numbers import Integral
from typing import Any

from torch import nn

from spos._util.errors import UserError, check_kind
from spos.nn.choice import ChoiceModule


class Width(ChoiceModule):
    """A choice of a number of channels or features, shared by elastic layers.

    One width may be the output size of one layer and the input size of many others, as in a
    residual stream. It holds no weights; pass the same object to all of them.

    Args:
        sizes (Iterable[int] | Mapping[str, int]): sizes from the smallest to the largest, each at
            least 1; a mapping names the options, such as ``{"0.5x": 16, "1x": 32}``.
        name (str | None): name of the choice (see :class:`ChoiceModule`).

    Raises:
        UserError: ``sizes`` is empty or not in ascending order, or a size is below 1.

    Example:
        >>> width = Width([8, 16, 32], name="stage1.width")
        >>> width.activate("16")
        >>> width.current, width.largest
        (16, 32)
    """

    def __init__(self, sizes: Iterable[int] | Mapping[str, int], name: str | None = None) -> None:
        check_kind(sizes, Iterable, "sizes of a width", "whole numbers, such as [8, 16, 32]")
        named = sizes if isinstance(sizes, Mapping) else {str(size): size for size in sizes}
        super().__init__(tuple(named), name, ordered=True)
        given: tuple[Any, ...] = tuple(named.values())
        whole = all(isinstance(one, Integral) and not isinstance(one, bool) for one in given)
        self.sizes: tuple[int, ...] = given
        # Two ratios may round to the same size, so equal sizes are allowed.
        if not whole or self.sizes[0] < 1 or list(self.sizes) != sorted(self.sizes):
            raise UserError(
                f"sizes {', '.join(map(str, self.sizes))} of a width: each must be a whole number "
                "of at least 1, and none below the one before it"
            )

    @property
    def current(self) -> int:
        """Size on the active path."""
        return self.sizes[self.active]

    @property
    def largest(self) -> int:
        """Largest size, for which weights are allocated."""
        return self.sizes[-1]

    def plain(self, copy: Callable[[nn.Module], nn.Module]) -> nn.Module:
        return FixedWidth(self.current)

    def extra_repr(self) -> str:
        return f"sizes={self.sizes}, active={self.current}"


class FixedWidth(nn.Module):
    """A fixed width, with the interface of :class:`Width`.

    Args:
        size (int): number of channels or features.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.current = self.largest = size


def as_width(size: int | Width | FixedWidth) -> Width | FixedWidth:
    """Return a size as a width, wrapping integers in :class:`FixedWidth`.

    Args:
        size (int | Width | FixedWidth): number of channels or features, fixed or searched.

    Raises:
        UserError: it is none of these, or below 1.
    """
    if isinstance(size, (Width, FixedWidth)):
        return size
    given: Any = size
    whole = isinstance(given, Integral) and not isinstance(given, bool)
    if not whole or given < 1:
        raise UserError(
            f"size {size!r:.80} of a layer: must be a whole number of at least 1, or a "
            "spos.nn.Width, such as spos.nn.Width([8, 16])"
        )
    return FixedWidth(int(given))
