"""Handwritten digits from scikit-learn: 1,797 grey images of 8 by 8 pixels."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.datasets import load_digits

from spos._util.errors import UserError
from spos.data.source import SOURCES, DataOptions, Source, array_source
from spos.data.split import split_targets

TEST = 0.2
"""The set has no official test images: a fifth of each digit, the same for every run."""


@SOURCES.register("digits")
def digits_source(argument: str, options: DataOptions) -> Source:
    """The digits, 359 of which are always the test images.

    Raises:
        UserError: there is an argument.

    Example:
        >>> source = digits_source("", DataOptions())
        >>> len(source.train), len(source.test)
        (1438, 359)
    """
    if argument:
        raise UserError("digits has no path; nearest valid: digits")
    bundle = load_digits()
    # The scanner counted ink in cells of 4 by 4 pixels: 0 to 16.
    images = np.rint(bundle.images * (255 / 16)).astype(np.uint8)[:, None]
    rest, part = split_targets(torch.from_numpy(bundle.target), TEST, 0)
    test = images[part], bundle.target[part]
    classes = [str(digit) for digit in range(10)]
    return array_source(images[rest], bundle.target[rest], options, test=test, classes=classes)
