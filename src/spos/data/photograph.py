"""A photograph of any size to a square image, for evaluation and for training as on ImageNet."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageEnhance

from spos.data.augmentation import AREA, JITTER, LOG_RATIO, TRIES

_BICUBIC = Image.Resampling.BICUBIC


def resized_side(image_size: int) -> int:
    """Length that the shorter side is resized to before the centre is cut out.

    From 128 pixels on, where images are photographs, it is ImageNet's 256 for 224. Below, a margin
    would cut into objects that fill the image, and there is none.

    Example:
        >>> resized_side(224), resized_side(32)
        (256, 32)
    """
    return round(image_size * 256 / 224) if image_size >= 128 else image_size


def fit(image: Image.Image, image_size: int) -> Image.Image:
    """Resize the shorter side and cut out the centre; an image of the right size is returned as is.

    Example:
        >>> fit(Image.new("RGB", (500, 375)), 224).size
        (224, 224)
    """
    if image.size == (image_size, image_size):
        return image
    scale = min(image.size) / resized_side(image_size)
    # Rounded, it may be above the shorter side by a bit.
    side = min(image_size * scale, *image.size)
    left, top = ((length - side) / 2 for length in image.size)
    # Resizing the centre alone gives the same pixels as resizing everything and cutting it out.
    return image.resize((image_size, image_size), _BICUBIC, (left, top, left + side, top + side))


def random_photograph(
    image: Image.Image, image_size: int, random: np.random.Generator
) -> Image.Image:
    """ImageNet's training view: random resized crop, horizontal flip, colour jitter.

    Source: Guo et al., "Single Path One-Shot Neural Architecture Search", ECCV 2020, release.

    Example:
        >>> view = random_photograph(Image.new("RGB", (90, 60)), 32, np.random.default_rng(0))
        >>> view.size
        (32, 32)
    """
    image = image.resize((image_size, image_size), _BICUBIC, random_box(image.size, random))
    if random.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    factors = random.uniform(1 - JITTER, 1 + JITTER, 3)
    image = ImageEnhance.Brightness(image).enhance(factors[0])
    image = ImageEnhance.Contrast(image).enhance(factors[1])
    return image if image.mode == "L" else ImageEnhance.Color(image).enhance(factors[2])


def random_box(size: tuple[int, int], random: np.random.Generator) -> tuple[int, int, int, int]:
    """A random part of an image, of 8 to 100% of its area and an aspect ratio of 3:4 to 4:3.

    Source: Szegedy et al., "Going Deeper with Convolutions", CVPR 2015, Section 6.

    Example:
        >>> left, top, right, bottom = random_box((90, 60), np.random.default_rng(0))
        >>> 0 <= left < right <= 90 and 0 <= top < bottom <= 60
        True
    """
    full_width, full_height = size
    for _ in range(TRIES):
        area = full_width * full_height * random.uniform(*AREA)
        ratio = math.exp(random.uniform(-LOG_RATIO, LOG_RATIO))
        width, height = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < width <= full_width and 0 < height <= full_height:
            left = int(random.integers(full_width - width + 1))
            top = int(random.integers(full_height - height + 1))
            return left, top, left + width, top + height
    # A long strip has no such part: take its centre at the nearest ratio.
    width = min(full_width, max(1, round(full_height * 4 / 3)))
    height = min(full_height, max(1, round(full_width * 4 / 3)))
    left, top = (full_width - width) // 2, (full_height - height) // 2
    return left, top, left + width, top + height
