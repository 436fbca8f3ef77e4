"""Bytes of an image file to pixels with 8 bits, without losing what the file says."""

from __future__ import annotations

import io
import math

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

FORMATS = ("JPEG", "PNG", "BMP", "WEBP")
"""What is read, whatever the file's name ends in."""

_ORIENTATION = 0x0112


class BrokenImageError(Exception):
    """A file that is no whole image; the message is the reason, in one line."""


def decode(content: bytes, shorter: int | None = None) -> Image.Image:
    """Decode a whole image file to RGB, upright.

    Grey, palette, and CMYK images are converted; transparent ones are laid on white; 16 bits a
    channel are scaled to 8; the rotation that a camera noted is applied; of an animation the
    first frame is taken.

    Args:
        content: the bytes of a JPEG, PNG, BMP, or WebP file.
        shorter: the side in pixels that the shorter side will be resized to: a large JPEG is
            then decoded at a half, a quarter, or an eighth, at least twice this. None: in full.

    Raises:
        BrokenImageError: it is not a whole image.

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
    """As ``decode``, and with the image its width and height in pixels as stored in the file."""
    try:
        with _open(content) as image:
            size: tuple[int, int] = image.size
            if shorter is not None:
                scale = 2 * shorter / min(size)
                image.draft(image.mode, (math.ceil(size[0] * scale), math.ceil(size[1] * scale)))
            image.load()
            # Converting forgets the orientation, so it is read first.
            turned = "exif" in image.info and image.getexif().get(_ORIENTATION, 1) != 1
            upright = ImageOps.exif_transpose(image) if turned else image
            return to_rgb(upright), size
    except Exception as error:
        raise BrokenImageError(_reason(error, content)) from None


def check(content: bytes) -> tuple[int, int]:
    """Read a whole image file, as fast as can be, to find out whether it is broken.

    Returns:
        Its width and height in pixels, as stored.

    Raises:
        BrokenImageError: it is not a whole image.
    """
    try:
        with _open(content) as image:
            size: tuple[int, int] = image.size
            # All of a JPEG is still read at an eighth, but little of it is computed.
            image.draft(image.mode, (1, 1))
            image.load()
            return size
    except Exception as error:
        raise BrokenImageError(_reason(error, content)) from None


def _open(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content), formats=FORMATS)


def _reason(error: Exception, content: bytes) -> str:
    if not content:
        return "empty file"
    if isinstance(error, UnidentifiedImageError):
        return "not a JPEG, PNG, BMP, or WebP image"
    return f"unreadable image: {' '.join(str(error).split()) or type(error).__name__}"


def to_rgb(image: Image.Image) -> Image.Image:
    """An image of any mode in mode RGB: 16 bits scaled to 8, transparency laid on white.

    Example:
        >>> to_rgb(Image.new("RGBA", (1, 1), (255, 0, 0, 0))).getpixel((0, 0))
        (255, 255, 255)
    """
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode == "I" or image.mode.startswith("I;16"):
        # Pillow's own conversion clips at 255, which turns a 16-bit image white.
        values = np.asarray(image).clip(0, 65535).astype(np.uint32)
        return Image.fromarray(((values * 255 + 32767) // 65535).astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        colours = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        white.alpha_composite(colours)
        return white.convert("RGB")
    return image.convert("RGB")


def to_array(image: Image.Image) -> npt.NDArray[np.uint8]:
    """An image in mode L or RGB as uint8 [C, H, W].

    Example:
        >>> to_array(Image.new("RGB", (5, 4))).shape
        (3, 4, 5)
    """
    pixels = np.asarray(image)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
