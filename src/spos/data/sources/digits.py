"""The handwritten digits that come with scikit-learn: 1,797 grey images of 8 by 8 pixels."""

from __future__ import annotations

import numpy as np
import torch

from spos._util.errors import UserError
from spos.data.assemble import Source, arrays_source
from spos.data.images import TensorImages
from spos.data.split import stratified_split

TEST = 0.2
"""The set has no official test images: a fifth of each digit, the same for every run."""


def digits_source(image_size: int | None = None) -> Source:
    """The digits, of which 359 are always the test images.

    Args:
        image_size: the side to resize to; 8 if left out.

    Raises:
        UserError: scikit-learn is not installed.

    Example:
        >>> source = digits_source()
        >>> len(source.train), len(source.test())
        (1438, 359)
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise UserError(
            "--data digits: the images come with scikit-learn, which is not installed;"
            " install it: pip install scikit-learn"
        ) from None
    bundle = load_digits()
    # The scanner counted ink in 4 by 4 cells: 0 to 16.
    pixels = np.rint(bundle.images * (255 / 16)).astype(np.uint8)
    images = TensorImages(
        torch.from_numpy(pixels)[:, None], torch.from_numpy(bundle.target.astype(np.int64))
    )
    rest, part = stratified_split(images.labels, TEST, seed=0)
    test = images.subset(part)
    return arrays_source(
        "digits",
        images.subset(rest),
        lambda: test,
        test.labels,
        [str(digit) for digit in range(10)],
        image_size,
    )
