"""Handwritten digits from scikit-learn: 1,797 grey images of 8 by 8 pixels, plain or cluttered."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from spos._util.errors import UserError, nearest
from spos._util.randomness import generator
from spos.data.source import SOURCES, DataOptions, Source, array_source
from spos.data.split import split_targets

Pixels = NDArray[np.uint8]
Indices = NDArray[np.int64]

#: Side of the canvas in pixels.
CANVAS = 16
#: Pieces of other images on a canvas, and their side in pixels.
PIECES, PIECE = 4, 3
#: Standard deviation of the noise, of 255.
NOISE = 12


def cluttered(images: Pixels, copies: int, random: np.random.Generator) -> Pixels:
    """Place each image on canvases among pieces of other images.

    Args:
        images (NDArray): uint8, shape (N, S, S), S at most the side of the canvas.
        copies (int): canvases of each image, at least 1.
        random (np.random.Generator): source of randomness.

    Returns:
        The canvases, uint8, shape (N * copies, 1, CANVAS, CANVAS); those of an image follow each
        other.

    Source: the idea is that of cluttered MNIST, Mnih et al., "Recurrent Models of Visual
    Attention", NeurIPS 2014, Section 4.1.

    Example:
        >>> images = np.full((2, 8, 8), 255, np.uint8)
        >>> cluttered(images, 3, np.random.default_rng(0)).shape
        (6, 1, 16, 16)
    """
    side, count = images.shape[1], len(images) * copies
    origin, place, last = side - PIECE + 1, CANVAS - PIECE + 1, CANVAS - side + 1
    # All that is random at once, in the order in which canvases are filled one by one.
    highest = [len(images)] * PIECES + [origin, origin, place, place] * PIECES + [last, last]
    drawn = random.integers(np.broadcast_to(highest, (count, len(highest))))
    others, corners = drawn[:, :PIECES], drawn[:, PIECES:].reshape(count, -1, 2)
    canvases = np.zeros((count, CANVAS, CANVAS), np.uint8)
    for number in range(PIECES):
        patches = _patches(others[:, number], corners[:, 2 * number], PIECE)
        _paste(canvases, corners[:, 2 * number + 1], images[patches])
    _paste(canvases, corners[:, -1], images.repeat(copies, 0))
    noisy = canvases + random.normal(scale=NOISE, size=canvases.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)[:, None]


def _patches(numbers: Indices, corners: Indices, side: int) -> tuple[Indices, ...]:
    """The indices of a square in each of some images, which select the shape (N, side, side)."""
    top, left = corners[:, 0, None, None], corners[:, 1, None, None]
    across = np.arange(side)
    return numbers[:, None, None], top + across[:, None], left + across


def _paste(canvases: Pixels, corners: Indices, pieces: Pixels) -> None:
    places = _patches(np.arange(len(canvases)), corners, pieces.shape[1])
    canvases[places] = np.maximum(canvases[places], pieces)


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
    split = split_targets(torch.from_numpy(bundle.target), TEST, 0)
    for purpose, rows in zip(("train", "test"), split, strict=True):
        pixels, labels = images[rows][:, None], bundle.target[rows]
        if argument:
            pixels = cluttered(images[rows], COPIES, generator(0, CLUTTERED, purpose))
            labels = labels.repeat(COPIES)
        parts.append((pixels, labels))
    return array_source(*parts[0], options, test=parts[1])
