"""Splits that a seed decides; by classes, every class gives its share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from torch import Tensor

from spos._util.errors import UserError
from spos._util.randomness import generator

IntArray = npt.NDArray[np.int64]

Size: TypeAlias = "int | float"
"""Of a split: a number of images of at least 1, or a fraction between 0 and 1."""


def check_size(option: str, size: Size) -> None:
    """Check the size of a split by itself, before anything is read.

    Args:
        option: the name of the option in the error, as "--validation".
        size: a number of images of at least 1, or a fraction between 0 and 1.

    Raises:
        UserError: it is neither.

    Example:
        >>> check_size("--validation", 1.5)
        Traceback (most recent call last):
        ...
        spos.UserError: --validation 1.5: a fraction is above 0 and below 1, a number of \
images is whole and at least 1; nearest valid: 0.9
    """
    whole = isinstance(size, int) and not isinstance(size, bool)
    if not (size >= 1 if whole else isinstance(size, float) and 0 < size < 1):
        valid = "1" if whole else ("0.9" if size >= 1 else "0.1")
        raise UserError(
            f"{option} {size}: a fraction is above 0 and below 1, a number of images is whole"
            f" and at least 1; nearest valid: {valid}"
        )


def _shares(counts: IntArray, total: int) -> IntArray:
    """Whole shares of the classes that add up to ``total`` and leave no side of a class empty."""
    exact = counts * (total / int(counts.sum()))
    low, high = np.ones_like(counts), counts - 1
    shares: IntArray = np.clip(np.floor(exact).astype(np.int64), low, high)
    while (missing := total - int(shares.sum())) != 0:
        # Rounding leaves less than one image a class, so these are few steps.
        if missing > 0:
            shares[np.where(shares < high, exact - shares, -np.inf).argmax()] += 1
        else:
            shares[np.where(shares > low, shares - exact, -np.inf).argmax()] -= 1
    return shares


def stratified_split(
    labels: Tensor | npt.NDArray[np.integer],
    size: Size,
    seed: int,
    *,
    option: str = "--validation",
    classes: Sequence[str] = (),
) -> tuple[IntArray, IntArray]:
    """Split a set in two so that every class is in both sides, in proportion.

    Args:
        labels: the class of each image, [N].
        size: what the second side gets: a number of images, or a fraction of them in (0, 1).
        seed: the split depends on labels, size, and seed alone; at least 0.
        option: how an error names the size.
        classes: how an error names a class; its index if left out.

    Returns:
        The indices of the rest and of the part split off, each ascending.

    Raises:
        UserError: the size is out of range, or some class would be missing on one side.

    Example:
        >>> rest, part = stratified_split(np.array([0, 0, 0, 0, 1, 1]), 3, seed=0)
        >>> len(rest), len(part)
        (3, 3)
    """
    check_size(option, size)
    values = np.asarray(labels.cpu().numpy() if isinstance(labels, Tensor) else labels)
    present, members, counts = np.unique(values, return_inverse=True, return_counts=True)
    total = size if isinstance(size, int) else round(size * len(values))
    if len(present) == 0:
        raise UserError(f"{option} {size}: there are no images to split; at least 2 are needed")
    if counts.min() < 2:
        alone = int(present[counts.argmin()])
        name = classes[alone] if alone < len(classes) else str(alone)
        raise UserError(
            f"{option} {size}: class '{name}' has {counts.min()} image left to split;"
            " a class needs at least 2, one for each side"
        )
    least, most = len(present), len(values) - len(present)
    if not least <= total <= most:
        raise UserError(
            f"{option} {size}: {total} of {len(values)} images, but each of {len(present)} classes"
            f" needs an image on both sides; allowed: {least} to {most} images;"
            f" nearest valid: {min(max(total, least), most)}"
        )
    order = generator(seed, "split").permutation(len(values))
    by_class = order[np.argsort(members[order], kind="stable")]
    rank = np.arange(len(values)) - np.repeat(np.cumsum(counts) - counts, counts)
    chosen = by_class[rank < np.repeat(_shares(counts, total), counts)]
    mask = np.zeros(len(values), dtype=bool)
    mask[chosen] = True
    return np.flatnonzero(~mask), np.flatnonzero(mask)


def random_split(
    count: int, size: Size, seed: int, *, option: str = "--validation"
) -> tuple[IntArray, IntArray]:
    """Split a set in two at random.

    Args:
        count: how many images it has.
        size: what the second side gets: a number of images, or a fraction of them in (0, 1).
        seed: the split depends on count, size, and seed alone; at least 0.
        option: how an error names the size.

    Returns:
        The indices of the rest and of the part split off, each ascending.

    Raises:
        UserError: the size is out of range, or one side would be empty.

    Example:
        >>> rest, part = random_split(10, 0.3, seed=0)
        >>> len(rest), len(part)
        (7, 3)
    """
    check_size(option, size)
    total = size if isinstance(size, int) else round(size * count)
    if not 1 <= total < count:
        raise UserError(
            f"{option} {size}: {total} of {count} images, but both sides need one; allowed: 1 to "
            f"{count - 1} images"
        )
    order = generator(seed, "split").permutation(count)
    return np.sort(order[total:]), np.sort(order[:total])


def split_targets(
    targets: Tensor,
    size: Size,
    seed: int,
    *,
    option: str = "--validation",
    classes: Sequence[str] = (),
) -> tuple[IntArray, IntArray]:
    """Split images in two: by classes in proportion, by values at random.

    Args:
        targets: classes, int64 [N], or values, float32 [N, ...].
        size: as of :func:`stratified_split`, like everything else.
        seed: of the split.
        option: how an error names the size.
        classes: how an error names a class.

    Raises:
        UserError: the size is out of range.
    """
    if targets.is_floating_point():
        return random_split(len(targets), size, seed, option=option)
    return stratified_split(targets, size, seed, option=option, classes=classes)
