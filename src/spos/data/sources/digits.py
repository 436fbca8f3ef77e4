"""Handwritten digits from scikit-learn: 1,797 grey images of 8 by 8 pixels, plain or cluttered."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from spos._util.errors import UserError, nearest
from spos._util.randomness import generator
from spos.data.source import SOURCES, DataOptions, Source, array_source
from spos.data.sources._clutter import cluttered
from spos.data.split import split_targets

TEST = 0.2
"""The set has no official test images: a fifth of each digit, the same for every run."""
CLUTTERED = "cluttered"
COPIES = 4
"""Canvases of each digit; those of one digit are all in the training or all in the test images."""


@SOURCES.register("digits")
def digits_source(argument: str, options: DataOptions) -> Source:
    """The digits, 359 of which are always the test images.

    With the argument ``cluttered`` each digit lies in four places among pieces of other digits, on
    canvases of 16 by 16 pixels: harder, so that networks differ.

    Raises:
        UserError: the argument is another one.

    Example:
        >>> source = digits_source("", DataOptions())
        >>> len(source.train), len(source.test)
        (1438, 359)
        >>> len(digits_source("cluttered", DataOptions()).test)
        1436
    """
    if argument not in ("", CLUTTERED):
        raise UserError(f"unknown kind '{argument}': {nearest(argument, (CLUTTERED,))}")
    bundle = load_digits()
    # The scanner counted ink in cells of 4 by 4 pixels: 0 to 16.
    images = np.rint(bundle.images * (255 / 16)).astype(np.uint8)
    parts = []
    for purpose, rows in zip(("train", "test"), _split(bundle.target), strict=True):
        pixels, labels = images[rows][:, None], bundle.target[rows]
        if argument:
            pixels = cluttered(images[rows], COPIES, generator(0, CLUTTERED, purpose))
            labels = labels.repeat(COPIES)
        parts.append((pixels, labels))
    classes = [str(digit) for digit in range(10)]
    return array_source(*parts[0], options, test=parts[1], classes=classes)


def _split(target: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    rest, part = split_targets(torch.from_numpy(target), TEST, 0)
    return np.asarray(rest), np.asarray(part)
