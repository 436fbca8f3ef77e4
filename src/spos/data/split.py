"""Splits determined by a seed: in proportion to the classes, or at random for values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from torch import Tensor

from spos._util.errors import UserError
from spos._util.randomness import generator

IntArray = npt.NDArray[np.int64]

Size: TypeAlias = int | float
"""Of a split: a number of images of at least 1, or a fraction between 0 and 1."""


def check_size(option: str, size: Size) -> None:
    """Check the size of a split before anything is read.

    Raises:
        UserError: the size is neither.

    Example:
        >>> check_size("validation", 1.5)
        Traceback (most recent call last):
        ...
        spos.UserError: validation 1.5: must be a fraction between 0 and 1, or a whole number of \
images of at least 1; nearest valid: 0.9
    """
    whole = isinstance(size, int) and not isinstance(size, bool)
    if not (size >= 1 if whole else isinstance(size, float) and 0 < size < 1):
        valid = "1" if whole else ("0.9" if size >= 1 else "0.1")
        raise UserError(
            f"{option} {size}: must be a fraction between 0 and 1, or a whole number of images "
            f"of at least 1; nearest valid: {valid}"
        )


def split_targets(
    targets: Tensor,
    size: Size,
    seed: int,
    *,
    option: str = "validation",
    classes: Sequence[str] = (),
) -> tuple[IntArray, IntArray]:
    """Split images in two: classes in proportion, values at random.

    Args:
        targets (Tensor): classes, int64, shape (N,), or values, float32, shape (N, ...).
        size (int | float): of the second part: number of images, or a fraction in (0, 1).
        seed (int): at least 0; the split depends on targets, size and seed alone.
        option (str): name of the size in an error.
        classes (Sequence[str]): name of each class in an error.

    Returns:
        tuple: indices of the rest and of the part split off, each ascending.

    Raises:
        UserError: the size is out of range, or a class would be missing in a part.

    Example:
        >>> import torch
        >>> rest, part = split_targets(torch.tensor([0, 0, 0, 0, 1, 1]), 3, seed=0)
        >>> len(rest), len(part)
        (3, 3)
    """
    check_size(option, size)
    count = len(targets)
    total = size if isinstance(size, int) else round(size * count)
    labels = np.zeros(count) if targets.is_floating_point() else targets.cpu().numpy()
    present, members, counts = np.unique(labels, return_inverse=True, return_counts=True)
    least, most = len(present), count - len(present)
    if least > 1 and counts.min() < 2:
        alone = int(present[counts.argmin()])
        name = classes[alone] if alone < len(classes) else str(alone)
        raise UserError(
            f"{option} {size}: class '{name}' has {counts.min()} image left to split; a class "
            "needs at least 2, one for each part"
        )
    if not least <= total <= most:
        whose = f"each of {least} classes needs an image in both parts"
        raise UserError(
            f"{option} {size}: {total} of {count} images, but "
            f"{whose if least > 1 else 'both parts need an image'}; allowed: {least} to {most} "
            f"images; nearest valid: {min(max(total, least), most)}"
        )
    order = generator(seed, "split").permutation(count)
    by_class = order[np.argsort(members[order], kind="stable")]
    rank = np.arange(count) - np.repeat(np.cumsum(counts) - counts, counts)
    chosen = by_class[rank < np.repeat(_shares(counts, total), counts)]
    mask = np.zeros(count, dtype=bool)
    mask[chosen] = True
    return np.flatnonzero(~mask), np.flatnonzero(mask)


def _shares(counts: IntArray, total: int) -> IntArray:
    """Whole shares of the classes that add up to ``total`` and leave no part of a class empty."""
    exact = counts * (total / int(counts.sum()))
    low, high = np.ones_like(counts), counts - 1
    shares: IntArray = np.clip(np.floor(exact).astype(np.int64), low, high)
    while (missing := total - int(shares.sum())) != 0:
        # Rounding leaves less than one image per class, so these are few steps.
        if missing > 0:
            shares[np.where(shares < high, exact - shares, -np.inf).argmax()] += 1
        else:
            shares[np.where(shares > low, shares - exact, -np.inf).argmax()] -= 1
    return shares
