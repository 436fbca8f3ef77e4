"""Bytes of an image file to pixels of 8 bits, without losing what the file says."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

FORMATS = ("JPEG", "PNG", "BMP", "WEBP")
"""Formats that are read, whatever the extension of the file."""


class BrokenImageError(Exception):
    """A file that is not a whole image; the message is the reason, in one line."""


def decode(content: bytes, shorter: int | None = None) -> Image.Image:
    """Decode a whole image file to RGB, upright.

    Greyscale, palette and CMYK images are converted, transparency is laid on white, 16 bits per
    channel are scaled to 8, EXIF rotation is applied, the first frame of an animation is taken.

    Args:
        content (bytes): a JPEG, PNG, BMP or WebP file.
        shorter (int | None): side in pixels that the shorter side will be resized to. A large JPEG
            is then decoded at 1/2, 1/4 or 1/8, at least twice this. None decodes in full.

    Raises:
        BrokenImageError: the content is not a whole image.

    Example:
        >>> decode(b"hello")
        Traceback (most recent call last):
        ...
        spos.data.decode.BrokenImageError: not a JPEG, PNG, BMP, or WebP image
    """
    return decode_and_measure(content, shorter)[0]


def decode_and_measure(
    content: bytes, shorter: int | None = None
) -> tuple[Image.Image, tuple[int, int]]:
    """Like :func:`decode`, with the width and height in pixels as stored in the file."""
    with _opened(content) as image:
        size: tuple[int, int] = image.size
        # One that would not be halved is not asked for: that takes a while for a small image.
        if shorter is not None and min(size) >= 4 * shorter:
            scale = 2 * shorter / min(size)
            image.draft(image.mode, (math.ceil(size[0] * scale), math.ceil(size[1] * scale)))
        image.load()
        if "exif" in image.info:
            _turn_upright(image)
        return to_rgb(image), size


def _turn_upright(image: Image.Image) -> None:
    try:
        ImageOps.exif_transpose(image, in_place=True)
    except MemoryError:
        raise
    # Damaged notes of a camera are none, and Pillow raises whatever its parser does: the pixels are
    # whole, as a check that reads no notes has found.
    except Exception:
        return


def check(content: bytes) -> tuple[int, int]:
    """Width and height of a whole image file as stored, read as fast as possible.

    Raises:
        BrokenImageError: the content is not a whole image.
    """
    with _opened(content) as image:
        size: tuple[int, int] = image.size
        # All of a JPEG is still read at an eighth, but little of it is computed.
        image.draft(image.mode, (1, 1))
        image.load()
        return size


@contextmanager
def _opened(content: bytes) -> Iterator[Image.Image]:
    try:
        # Nothing to close: the file is in memory.
        yield Image.open(io.BytesIO(content), formats=FORMATS)
    except UnidentifiedImageError:
        reason = "not a JPEG, PNG, BMP, or WebP image" if content else "empty file"
        raise BrokenImageError(reason) from None
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise BrokenImageError(f"unreadable image: {reason}") from None


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert an image of any mode to RGB: 16 bits scaled to 8, transparency laid on white.

    Example:
        >>> to_rgb(Image.new("RGBA", (1, 1), (255, 0, 0, 0))).getpixel((0, 0))
        (255, 255, 255)
    """
    if image.mode == "I" or image.mode.startswith("I;16"):
        # Pillow's own conversion clips at 255, which turns a 16-bit image white.
        values = np.asarray(image).clip(0, 65535).astype(np.uint32)
        return Image.fromarray(((values * 255 + 32767) // 65535).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        white.alpha_composite(image.convert("RGBA"))
        return white.convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def to_array(image: Image.Image) -> npt.NDArray[np.uint8]:
    """An image of mode L or RGB as an array.

    Example:
        >>> to_array(Image.new("RGB", (5, 4))).shape
        (3, 4, 5)
    """
    pixels = np.asarray(image)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
