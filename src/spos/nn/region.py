"""Record of which slice of a parameter a training step used.

An elastic layer uses a slice of its parameters. The gradient outside the slice is zero, but
momentum and weight decay would still change those entries. The optimizer
:class:`spos.training.optimizer.PathSGD` reads the recorded slice to leave them unchanged.
"""

from __future__ import annotations

from torch import Tensor, nn

_REGION = "_spos_region"


def use(parameter: Tensor, *sizes: int) -> Tensor:
    """Return the leading slice of a parameter, and record it as used.

    Args:
        parameter (Tensor): parameter to slice.
        *sizes (int): number of entries along each leading dimension; the remaining dimensions are
            used in full.

    Example:
        >>> weight = nn.Parameter(Tensor(4, 3))
        >>> use(weight, 2, 1).shape, region(weight)
        (torch.Size([2, 1]), (2, 1))
    """
    if isinstance(parameter, nn.Parameter):
        before = getattr(parameter, _REGION, sizes)
        # Several paths may run in one step: record the smallest slice that contains all of theirs.
        setattr(parameter, _REGION, tuple(map(max, before, sizes)))
    return parameter[tuple(slice(size) for size in sizes)]


def region(parameter: Tensor) -> tuple[int, ...]:
    """Return the sizes of the slice used since :func:`forget`; empty if nothing was recorded.

    Args:
        parameter (Tensor): parameter to look up.
    """
    sizes: tuple[int, ...] = getattr(parameter, _REGION, ())
    return sizes


def forget(parameter: Tensor) -> None:
    """Clear the recorded slice of a parameter before a new step.

    Args:
        parameter (Tensor): parameter to clear.
    """
    if hasattr(parameter, _REGION):
        delattr(parameter, _REGION)
