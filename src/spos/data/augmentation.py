"""Augmentation of a batch in two steps: draw for all of its images, then apply to some of them.

Draws belong to the whole batch: two processes that share a batch apply the same draws to their
halves as one process does to the whole.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from spos._util.errors import UserError, nearest
from spos.data.rich import apply_operations, draw_operations, require_kornia

POLICIES: dict[str, tuple[str, ...]] = {
    "none": (),
    "flip": ("flip",),
    "crop": ("crop",),
    "standard": ("crop", "flip"),
    "cutout": ("crop", "flip", "cutout"),
    "rich": ("crop", "flip", "rich"),
    "imagenet": ("resized_crop", "flip", "jitter"),
}
"""Operations of each policy. ``crop`` alone is for digits and letters: a flip changes them."""

JITTER = 0.4
"""Brightness, contrast and saturation are each scaled by 1 - JITTER to 1 + JITTER."""
AREA, LOG_RATIO, TRIES = (0.08, 1.0), math.log(4 / 3), 10
"""Random resized crops: share of the area, logarithm of the aspect ratio, draws until one fits."""

Draws = dict[str, Tensor]


def check_policy(policy: str) -> None:
    """Check the name of a policy, and that what it needs is installed.

    Raises:
        UserError: the policy is unknown, or ``rich`` without kornia.

    Example:
        >>> check_policy("standart")
        Traceback (most recent call last):
        ...
        spos.UserError: augment standart: did you mean 'standard'? allowed: none, flip, \
crop, standard, cutout, rich, imagenet
    """
    if policy not in POLICIES:
        raise UserError(f"augment {policy}: {nearest(policy, POLICIES)}")
    if policy == "rich":
        require_kornia()


def padding(image_size: int) -> int:
    """Largest shift of a random crop in pixels: 4 at 32, 1 at 8.

    Example:
        >>> [padding(size) for size in (8, 28, 32, 224)]
        [1, 3, 4, 28]
    """
    return max(1, image_size // 8)


def draw(policy: str, count: int, image_size: int, generator: torch.Generator) -> Draws:
    """Draw the random numbers of a policy for a batch.

    Args:
        policy (str): key of :data:`POLICIES`.
        count (int): number of images in the whole batch.
        image_size (int): side of an image in pixels.
        generator (torch.Generator): a CPU generator.

    Returns:
        dict[str, Tensor]: tensors on the CPU whose first dimension is the image.

    Example:
        >>> sorted(draw("standard", 4, 32, torch.Generator().manual_seed(0)))
        ['flip', 'shift']
    """
    drawing = (_DRAWING[operation] for operation in POLICIES[policy])
    return {name: draw_one(count, image_size, generator) for name, draw_one in drawing}


_DRAWING: dict[str, tuple[str, Callable[[int, int, torch.Generator], Tensor]]] = {
    "crop": ("shift", lambda n, s, g: torch.randint(2 * padding(s) + 1, (n, 2), generator=g)),
    "flip": ("flip", lambda n, s, g: torch.rand(n, generator=g) < 0.5),
    "cutout": ("hole", lambda n, s, g: torch.randint(s, (n, 2), generator=g)),
    "resized_crop": ("box", lambda n, s, g: _boxes(n, g)),
    "jitter": ("jitter", lambda n, s, g: 1 + JITTER * (2 * torch.rand(n, 3, generator=g) - 1)),
    "rich": ("rich", lambda n, s, g: draw_operations(n, g)),
}
"""What is drawn for each operation, and how for images of a side, s, with a generator, g."""


def augment(images: Tensor, draws: Draws, fill: Tensor | None = None) -> Tensor:
    """Apply draws to images.

    Args:
        images (Tensor): uint8, shape (n, C, S, S), on any device.
        draws (dict[str, Tensor]): result of :func:`draw`, or the rows of these n images.
        fill (Tensor | None): what cutout paints with, 0 to 255, shape (C,); black if None.

    Returns:
        Tensor: uint8 or float32 in 0 to 255, shape (n, C, S, S); ``images`` if nothing was drawn.

    Example:
        >>> images = torch.zeros(4, 3, 32, 32, dtype=torch.uint8)
        >>> augment(images, draw("cutout", 4, 32, torch.Generator().manual_seed(0))).shape
        torch.Size([4, 3, 32, 32])
    """
    draws = {name: drawn.to(images.device, non_blocking=True) for name, drawn in draws.items()}
    if "box" in draws:
        images = _resized_crop(images, draws["box"], draws["flip"])
    elif "shift" in draws or "flip" in draws:
        images = _crop_and_flip(images, draws.get("shift"), draws.get("flip"))
    if "jitter" in draws:
        images = _jitter(images, draws["jitter"])
    if "rich" in draws:
        images = apply_operations(images, draws["rich"])
    if "hole" in draws:
        images = _cut_out(images, draws["hole"], fill)
    return images


def _crop_and_flip(images: Tensor, shift: Tensor | None, flip: Tensor | None) -> Tensor:
    """Both as one gather: each pixel of the result is looked up once in the padded image."""
    count, channels, size, _ = images.shape
    at = torch.arange(size, device=images.device)
    rows = at.expand(count, size)
    columns = rows if flip is None else torch.where(flip[:, None], size - 1 - at, at)
    width = size
    if shift is not None:
        edge = padding(size)
        images = F.pad(images, (edge, edge, edge, edge))
        rows, columns = rows + shift[:, :1], columns + shift[:, 1:]
        width += 2 * edge
    positions = (rows[:, :, None] * width + columns[:, None, :]).view(count, 1, size * size)
    flat = images.reshape(count, channels, width * width)
    crops = flat.gather(2, positions.expand(count, channels, size * size))
    return crops.view(count, channels, size, size)


def _cut_out(images: Tensor, centre: Tensor, fill: Tensor | None) -> Tensor:
    """Paint over a square of half the side, which may reach over the edge (DeVries and Taylor)."""
    channels, size = images.shape[1], images.shape[-1]
    at = torch.arange(size, device=images.device)
    start = (centre - size // 4)[:, :, None]
    inside = (at >= start) & (at < start + size // 2)
    hole = inside[:, 0, :, None] & inside[:, 1, None, :]
    fill = torch.zeros(channels) if fill is None else fill
    paint = fill if images.is_floating_point() else fill.round()
    return torch.where(hole[:, None], paint.to(images.device, images.dtype)[:, None, None], images)


def _boxes(count: int, generator: torch.Generator) -> Tensor:
    """Random resized crops: centre and half sides, row before column, on the scale -1 to 1."""
    area = torch.empty(count, TRIES).uniform_(*AREA, generator=generator)
    ratio = torch.empty(count, TRIES).uniform_(-LOG_RATIO, LOG_RATIO, generator=generator).exp()
    sides = torch.stack([(area / ratio).sqrt(), (area * ratio).sqrt()], dim=-1)
    fits = (sides <= 1).all(dim=-1)
    first = fits.int().argmax(dim=1)
    sides = sides[torch.arange(count), first].where(fits.any(dim=1)[:, None], torch.ones(()))
    centre = (2 * torch.rand(count, 2, generator=generator) - 1) * (1 - sides)
    return torch.cat([centre, sides], dim=1)


def _resized_crop(images: Tensor, box: Tensor, flip: Tensor) -> Tensor:
    row, column, height, width = box.unbind(1)
    zero = torch.zeros_like(row)
    across = torch.where(flip, -width, width)
    theta = torch.stack([across, zero, column, zero, height, row], dim=1).view(-1, 2, 3)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images.float(), grid, padding_mode="border", align_corners=False)


def _jitter(images: Tensor, factors: Tensor) -> Tensor:
    images = images.float()
    brightness, contrast, saturation = (factor[:, None, None, None] for factor in factors.unbind(1))
    images = (images * brightness).clamp(0, 255)
    level = _grey(images).mean(dim=(1, 2, 3), keepdim=True)
    images = (level + (images - level) * contrast).clamp(0, 255)
    level = _grey(images)
    return (level + (images - level) * saturation).clamp(0, 255)


def _grey(images: Tensor) -> Tensor:
    """Luminance, shape (n, 1, H, W), by ITU-R 601 as in Pillow."""
    if images.shape[1] == 1:
        return images
    weights = images.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    return (images * weights).sum(dim=1, keepdim=True)
