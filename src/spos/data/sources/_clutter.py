"""Small images moved about on a larger, cluttered and noisy canvas."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

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
    side = images.shape[1]
    canvases = np.zeros((len(images) * copies, CANVAS, CANVAS))
    for number, canvas in enumerate(canvases):
        for other in random.integers(len(images), size=PIECES):
            top, left = random.integers(side - PIECE + 1, size=2)
            piece = images[other, top : top + PIECE, left : left + PIECE]
            _paste(canvas, piece, random)
        _paste(canvas, images[number // copies], random)
    canvases += random.normal(scale=NOISE, size=canvases.shape)
    return np.clip(np.rint(canvases), 0, 255).astype(np.uint8)[:, None]


def _paste(canvas: NDArray[np.float64], piece: Pixels, random: np.random.Generator) -> None:
    top, left = random.integers(CANVAS - len(piece) + 1, size=2)
    place = canvas[top : top + len(piece), left : left + len(piece)]
    np.maximum(place, piece, out=place)
