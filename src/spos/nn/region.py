"""The part of a parameter that a step used.

An elastic layer uses a slice. The gradient of the rest is zero, but momentum and weight decay would
move it all the same; :class:`spos.training.optimizer.PathSGD` asks here what to leave alone.
"""

from __future__ import annotations

from torch import Tensor, nn

_REGION = "_spos_region"


def use(parameter: Tensor, *sizes: int) -> Tensor:
    """The first entries of a parameter along each dimension, noted as used.

    Args:
        parameter: of which a slice is wanted.
        sizes: how many entries of the first dimensions; those after them are used in full.

    Example:
        >>> weight = nn.Parameter(Tensor(4, 3))
        >>> use(weight, 2, 1).shape, region(weight)
        (torch.Size([2, 1]), (2, 1))
    """
    if isinstance(parameter, nn.Parameter):
        before = getattr(parameter, _REGION, sizes)
        # Of several paths in one step, the smallest slice that holds what each of them used.
        setattr(parameter, _REGION, tuple(map(max, before, sizes)))
    return parameter[tuple(slice(size) for size in sizes)]


def region(parameter: Tensor) -> tuple[int, ...]:
    """The sizes of the slice used since the last :func:`forget`; none where all of it is."""
    sizes: tuple[int, ...] = getattr(parameter, _REGION, ())
    return sizes


def forget(parameter: Tensor) -> None:
    """Begin a new step."""
    if hasattr(parameter, _REGION):
        delattr(parameter, _REGION)
