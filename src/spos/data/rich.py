"""The policy ``rich``: two random operations per image, after RandAugment, on whole batches.

Kornia does the work. Its own random classes are not used: they draw from torch's global
generator, and cannot give a process its part of a batch that it shares with others.

Source: Cubuk et al., "RandAugment: Practical Automated Data Augmentation", 2019.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from spos._util.errors import UserError

PER_IMAGE = 2
"""Slots for operations per image; in each slot half of the images are left as they are."""


def _blur(images: Tensor) -> Tensor:
    # Kornia's sharpness is a convolution, whose last bits depend on the number of images: a process
    # would not see exactly its part of the batch.
    size = images.shape[-1]
    padded = F.pad(images, (1, 1, 1, 1), mode="replicate")
    rows = padded[:, :, :size] + padded[:, :, 1:-1] + padded[:, :, 2:]
    whole = rows[..., :size] + rows[..., 1:-1] + rows[..., 2:]
    return whole / 9


# Each takes kornia, float images in 0 to 1, shape (n, C, S, S), and strengths in -1 to 1, (n,).
Operation = Callable[[Any, Tensor, Tensor], Tensor]

OPERATIONS: dict[str, Operation] = {
    "brightness": lambda k, x, s: k.enhance.adjust_brightness(x, 0.4 * s),
    "contrast": lambda k, x, s: k.enhance.adjust_contrast_with_mean_subtraction(x, 1 + 0.6 * s),
    "saturation": lambda k, x, s: k.enhance.adjust_saturation(x, 1 + 0.8 * s),
    "hue": lambda k, x, s: k.enhance.adjust_hue(x, 0.3 * s),
    "sharpness": lambda k, x, s: x + 0.9 * s[:, None, None, None] * (x - _blur(x)),
    "posterize": lambda k, x, s: k.enhance.posterize(x, (6 - 2 * s).round().int()),
    "solarize": lambda k, x, s: torch.where(x > (0.7 + 0.3 * s)[:, None, None, None], 1 - x, x),
    "equalize": lambda k, x, s: k.enhance.equalize(x),
    "rotate": lambda k, x, s: k.geometry.rotate(x, 20 * s),
    "shear": lambda k, x, s: k.geometry.shear(x, torch.stack([0.2 * s, torch.zeros_like(s)], 1)),
    "translate": lambda k, x, s: k.geometry.translate(
        x, torch.stack([0.1 * x.shape[-1] * s, torch.zeros_like(s)], 1)
    ),
}

_COLOUR = ("saturation", "hue")


def require_kornia() -> Any:
    """The package kornia.

    Raises:
        UserError: kornia is not installed.
    """
    if importlib.util.find_spec("kornia") is None:
        raise UserError(
            "augment rich: kornia is not installed; install it: pip install 'spos[augment]', with "
            "Python 3.11 or newer; nearest valid: augment cutout"
        )
    import kornia

    return kornia


def draw_operations(count: int, generator: torch.Generator) -> Tensor:
    """Draw an operation and its strength for each image and slot.

    Returns:
        Tensor: float32, shape (count, slots, 2): number of the operation, and strength.

    Example:
        >>> draw_operations(4, torch.Generator().manual_seed(0)).shape
        torch.Size([4, 2, 2])
    """
    # Every second number stands for no operation: an image gets one on average.
    which = torch.randint(2 * len(OPERATIONS), (count, PER_IMAGE), generator=generator)
    strength = 2 * torch.rand(count, PER_IMAGE, generator=generator) - 1
    return torch.stack([which.float(), strength], dim=-1)


def apply_operations(images: Tensor, drawn: Tensor) -> Tensor:
    """Apply operations that were drawn; saturation and hue leave grey images alone.

    Images hold values in 0 to 255, the result as float32; the draws are on their device.

    Raises:
        UserError: kornia is not installed.
    """
    kornia = require_kornia()
    images = images.float() / 255
    for slot in drawn.unbind(1):
        which, strength = slot.unbind(1)
        changed = images.clone()
        for number, (name, operation) in enumerate(OPERATIONS.items()):
            rows = (which == number).nonzero().flatten()
            if len(rows) and not (name in _COLOUR and images.shape[1] == 1):
                changed[rows] = operation(kornia, images[rows], strength[rows]).clamp(0, 1)
        images = changed
    return images * 255
