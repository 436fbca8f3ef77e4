"""A number of channels or features that is searched."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from torch import nn

from spos._util.errors import UserError
from spos.nn.choice import ChoiceModule


class Width(ChoiceModule):
    """A choice of a size, read by every elastic layer that it is given to.

    One width may be the output of one layer and the input of many others, as in a residual stream.
    It holds no weights: give the same object to all of them.

    Args:
        sizes: from the smallest to the largest; a mapping gives the options other names than the
            sizes, such as ``{"0.5x": 16, "1x": 32}``.
        name: the name of the choice (see :class:`ChoiceModule`).

    Raises:
        UserError: there is no size, one is below 1, or they do not rise.

    Example:
        >>> width = Width([8, 16, 32], name="stage1.width")
        >>> width.activate("16")
        >>> width.current, width.largest
        (16, 32)
    """

    def __init__(self, sizes: Iterable[int] | Mapping[str, int], name: str | None = None) -> None:
        named = sizes if isinstance(sizes, Mapping) else {str(size): size for size in sizes}
        super().__init__(tuple(named), name, ordered=True)
        self.sizes: tuple[int, ...] = tuple(named.values())
        # Two ratios may round to the same size, so that a size may repeat.
        if self.sizes[0] < 1 or list(self.sizes) != sorted(self.sizes):
            raise UserError(
                f"sizes {', '.join(map(str, self.sizes))} of a width: each must be at least 1 and "
                "none below the one before it"
            )

    @property
    def current(self) -> int:
        """The active size."""
        return self.sizes[self.active]

    @property
    def largest(self) -> int:
        """The size that weights are kept for."""
        return self.sizes[-1]

    def plain(self, copy: Callable[[nn.Module], nn.Module]) -> nn.Module:
        return FixedWidth(self.current)

    def extra_repr(self) -> str:
        return f"sizes={self.sizes}, active={self.current}"


class FixedWidth(nn.Module):
    """A width that is chosen, for code that reads it.

    Args:
        size: the number of channels or features.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.current = self.largest = size


def as_width(size: int | Width | FixedWidth) -> Width | FixedWidth:
    """A size that may be searched or not, in one form."""
    return FixedWidth(size) if isinstance(size, int) else size
