"""The size of square images, where the user named none."""

from __future__ import annotations

from collections import Counter

from spos._util.errors import UserError

PHOTOGRAPH = 224
"""The side of ImageNet's images, for photographs of different sizes."""


def check_image_size(image_size: int | None) -> None:
    """Check a size by itself.

    Raises:
        UserError: it is below 1.

    Example:
        >>> check_image_size(0)
        Traceback (most recent call last):
        ...
        spos.UserError: --image-size 0: a side in pixels of at least 1; nearest valid: 1
    """
    if image_size is not None and image_size < 1:
        raise UserError(
            f"--image-size {image_size}: a side in pixels of at least 1; nearest valid: 1"
        )


def default_image_size(text: str, sizes: Counter[tuple[int, int]], notes: list[str]) -> int:
    """The side to resize to, for files of these sizes.

    Images of one size keep it (the shorter side, if they are not square). Of different sizes,
    photographs become 224 pixels, as ImageNet's. For smaller ones the user has to decide: what
    they are enlarged or reduced to decides how long everything takes.

    Args:
        text: what the user asked for, for the error.
        sizes: how many images have which width and height in pixels.
        notes: where to say what was decided.

    Raises:
        UserError: the sizes differ, and half of the images have a side below 224 pixels.

    Example:
        >>> default_image_size("folder:a", Counter({(32, 32): 10}), [])
        32
    """
    sides = sorted(min(size) for size in sizes.elements())
    if len(sizes) == 1:
        width, height = next(iter(sizes))
        if width != height:
            notes.append(f"images of {width}x{height} pixels: the middle {sides[0]}x{sides[0]}")
        return sides[0]
    middle = sides[len(sides) // 2]
    if middle < PHOTOGRAPH:
        raise UserError(
            f"--data {text}: images of different sizes, shorter sides of {sides[0]} to {sides[-1]}"
            f" pixels; name the side to resize to, for example --image-size {middle}"
        )
    notes.append(
        f"images of different sizes, shorter sides of {sides[0]} to {sides[-1]} pixels:"
        f" resized to {PHOTOGRAPH}"
    )
    return PHOTOGRAPH
