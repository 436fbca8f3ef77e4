"""An item of a user's Dataset, in any usual form, to a PIL image and its target."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from spos._util.errors import UserError
from spos.data.decode import to_rgb


def to_label(label: Any, where: str) -> int:
    """A label of any integer type as an int.

    Example:
        >>> to_label(np.array([3]), "train, item 0")
        3
    """
    if isinstance(label, (Tensor, np.ndarray)) and len(label.reshape(-1)) == 1:
        label = label.item()
    if isinstance(label, bool) or not isinstance(label, (int, np.integer)) or label < 0:
        raise UserError(
            f"{where}: the label {label!r:.50}; allowed: a whole number of at least 0; numbers to "
            "be predicted are targets='values'"
        )
    return int(label)


def to_values(target: Any, where: str) -> Tensor:
    """Values to be predicted as float32.

    Args:
        target: a number, or a tensor, an array or a list of numbers.
        where: how an error names it.

    Raises:
        UserError: it is something else, or not finite.

    Example:
        >>> to_values([1, 0.5], "train, item 0")
        tensor([1.0000, 0.5000])
    """
    try:
        values = torch.as_tensor(target).detach().to("cpu", torch.float32)
    except (TypeError, ValueError, RuntimeError):
        raise UserError(
            f"{where}: the target {target!r:.50}; allowed: a number, or a tensor, an array or a "
            "list of numbers"
        ) from None
    if not values.isfinite().all():
        raise UserError(f"{where}: a target that is infinite or no number")
    return values


def to_image(image: Any, where: str) -> Image.Image:
    """An image as PIL's, in mode L or RGB.

    Args:
        image: a PIL image, a tensor [C, H, W], or an array [H, W] or [H, W, C]; uint8, or float
            in 0..1.
        where: how an error names it.

    Raises:
        UserError: it is something else.

    Example:
        >>> to_image(np.zeros((4, 5, 3), np.uint8), "train, item 0").size
        (5, 4)
    """
    if isinstance(image, Image.Image):
        return image if image.mode == "L" else to_rgb(image)
    if isinstance(image, Tensor):
        if image.dim() != 3 or image.shape[0] not in (1, 3):
            raise UserError(
                f"{where}: a tensor {list(image.shape)}; allowed: [C, H, W] with 1 or 3 channels"
            )
        array = image.detach().cpu().permute(1, 2, 0).numpy()
    elif isinstance(image, np.ndarray):
        array = image[:, :, None] if image.ndim == 2 else image
        if array.ndim != 3 or array.shape[2] not in (1, 3, 4):
            raise UserError(
                f"{where}: an array {list(image.shape)}; allowed: [H, W] or [H, W, C] with 1, 3,"
                " or 4 channels"
            )
    else:
        raise UserError(
            f"{where}: a {type(image).__name__}; allowed: a PIL image, a tensor, or an array"
        )
    if array.size == 0:
        raise UserError(f"{where}: an image without pixels, {list(image.shape)}")
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
    picture = Image.fromarray(
        np.ascontiguousarray(array[:, :, 0] if array.shape[2] == 1 else array)
    )
    return picture if picture.mode == "L" else to_rgb(picture)
