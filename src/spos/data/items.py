"""What an item of a Dataset holds, an image and a target, as what a run reads."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from spos._util.errors import UserError
from spos.data.decode import to_rgb

LARGEST_LABEL = 2**63 - 1
"""The largest that a tensor holds."""


def to_label(label: Any, where: str) -> Tensor:
    """A class as an int64 tensor.

    Raises:
        UserError: the label is something else.

    Example:
        >>> to_label(np.array([3]), "train, item 0")
        tensor(3)
    """
    array = in_memory(label, where) if isinstance(label, Tensor) else label
    if isinstance(array, np.ndarray) and array.size == 1:
        label = array.item()
    whole = isinstance(label, (int, np.integer)) and not isinstance(label, bool)
    if not whole or not 0 <= label <= LARGEST_LABEL:
        raise UserError(
            f"{where}: label {label!r:.50}; allowed: an integer from 0; for numbers to be "
            "predicted use spos.data.dataset_data(..., targets='values')"
        )
    return torch.tensor(int(label))


def to_values(target: Any, where: str) -> Tensor:
    """Values to be predicted as a float32 tensor.

    Raises:
        UserError: the target is something else, or not finite.

    Example:
        >>> to_values([1, 0.5], "train, item 0")
        tensor([1.0000, 0.5000])
    """
    try:
        values = torch.as_tensor(target).detach().to("cpu", torch.float32)
    except (TypeError, ValueError, RuntimeError):
        raise UserError(
            f"{where}: target {target!r:.50}; allowed: a number, or a tensor, an array or a list "
            "of numbers"
        ) from None
    if not values.isfinite().all():
        raise UserError(f"{where}: non-finite target")
    return values


def to_image(image: Any, where: str) -> Image.Image:
    """An image as a PIL image of mode L or RGB.

    Args:
        image: a PIL image, a tensor [C, H, W], or an array [H, W] or [H, W, C]; uint8, or float
            in 0 to 1. A PIL image may have 16 bits as well.
        where (str): name of the item in an error.

    Raises:
        UserError: the image is something else.

    Example:
        >>> to_image(np.zeros((4, 5, 3), np.uint8), "train, item 0").size
        (5, 4)
    """
    if not isinstance(image, Image.Image):
        image = Image.fromarray(_pixels(image, where))
    elif image.mode in ("F", "I"):
        # Pillow does not know what is white in them, and would make almost all of them black.
        image = Image.fromarray(_pixels(np.asarray(image), where))
    return image if image.mode == "L" else to_rgb(image)


def in_memory(tensor: Tensor, where: str) -> np.ndarray[Any, Any]:
    """The values of a tensor as an array.

    Raises:
        UserError: it is sparse, quantised, without values, or of a type that NumPy lacks.
    """
    try:
        return tensor.detach().cpu().numpy()
    except (TypeError, RuntimeError):
        raise UserError(
            f"{where}: a tensor of {tensor.dtype}, {tensor.layout}, on {tensor.device}; allowed: a "
            "dense one with values, of a type that NumPy has, such as uint8, int64 or float32"
        ) from None


def _pixels(image: Any, where: str) -> np.ndarray[Any, np.dtype[np.uint8]]:
    channels: tuple[int, ...]
    if isinstance(image, Tensor):
        channels, allowed = (1, 3), "a tensor [C, H, W] with 1 or 3 channels"
        array = in_memory(image, where)
        array = np.moveaxis(array, 0, -1) if array.ndim == 3 else array
    elif isinstance(image, np.ndarray):
        channels, allowed = (1, 3, 4), "an array [H, W] or [H, W, C] with 1, 3 or 4 channels"
        array = image[:, :, None] if image.ndim == 2 else image
    else:
        raise UserError(
            f"{where}: {type(image).__name__}; allowed: a PIL image, a tensor, or an array"
        )
    if array.ndim != 3 or array.shape[2] not in channels or array.size == 0:
        raise UserError(f"{where}: an image of shape {list(image.shape)}; allowed: {allowed}")
    if array.dtype.kind == "f":
        low, high = float(array.min()), float(array.max())
        if not (low >= 0 and high <= 1):
            raise UserError(
                f"{where}: values of {low:.3g} to {high:.3g}; allowed for float: 0 to 1, before"
                " any normalisation"
            )
        array = np.rint(array.astype(np.float64) * 255).astype(np.uint8)
    if array.dtype != np.uint8:
        raise UserError(f"{where}: values of type {array.dtype}; allowed: uint8, or float in 0..1")
    return np.ascontiguousarray(array[:, :, 0] if array.shape[2] == 1 else array)
