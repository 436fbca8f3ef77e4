"""From all images of a source to the data of a run: split, statistics, fingerprint."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from spos._util.errors import UserError
from spos._util.randomness import generator
from spos.data.image_data import ImageData
from spos.data.images import Images, Indices, TensorImages
from spos.data.split import Size, split_targets

SAMPLE = 1000
"""How many streamed training images the mean and the deviation are estimated from."""


@dataclass
class Source:
    """All that a source found, before the validation set is split off.

    Attributes:
        kind: "digits", "folder", ...: what the fingerprint keeps of where the images are from.
        train: all training images; handed over, not used by the source afterwards.
        test: reads the test images.
        test_labels: the target of each test image: its class, int64, or values, float32.
        classes: the name of each class; none where the targets are values.
        channels: 1 or 3.
        image_size: side in pixels.
        validation: the images of an own validation set; None to split one off ``train``.
        identity: what tells the images from others of the same labels, as the files' names.
        skipped: broken files that were left out, with the reason.
        notes: decisions taken for the user.
    """

    kind: str
    train: Images
    test: Callable[[], Images]
    test_labels: Tensor
    classes: Sequence[str]
    channels: int
    image_size: int
    validation: Images | None = None
    identity: bytes = b""
    skipped: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def assemble(text: str, source: Source, validation: Size, seed: int) -> ImageData:
    """Split the validation set off, measure the training images, and take the fingerprint.

    Args:
        text: what the user asked for.
        source: what was found; its training images are used up.
        validation: the size of the validation set, where the source has none of its own.
        seed: of the split.

    Raises:
        UserError: the training images cannot be split like this, or are of one class.
    """
    labels = source.train.labels
    if not labels.is_floating_point() and int(labels.min()) == int(labels.max()):
        raise UserError(f"--data {text}: one class; a classifier needs images of at least 2")
    counts = f"{len(labels)} {len(source.test_labels)}"
    digest = hashlib.sha256(
        "\0".join(
            [source.kind, str(source.channels), str(source.image_size), counts, *source.classes]
        ).encode("utf-8", "surrogateescape")
    )
    digest.update(source.identity)
    digest.update(labels.numpy().tobytes() + source.test_labels.numpy().tobytes())
    if source.validation is None:
        rest, part = split_targets(labels, validation, seed, classes=source.classes)
        digest.update(part.tobytes())
        train, held_out = source.train.split_off(rest, part)
    else:
        train, held_out = source.train, source.validation
        digest.update(held_out.labels.numpy().tobytes())
    mean, deviation = statistics(train)
    return ImageData(
        source=text,
        train=train,
        validation=held_out,
        test=source.test,
        classes=tuple(source.classes),
        channels=source.channels,
        image_size=source.image_size,
        mean=mean,
        std=deviation,
        skipped=tuple(source.skipped),
        notes=tuple(source.notes),
        fingerprint=digest.hexdigest()[:16],
    )


def statistics(images: Images) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel, on the scale 0..1.

    Exact for images in memory; from a fixed sample of up to 1,000 for streamed ones. A channel
    without any variation gets the deviation 1, so that dividing by it is harmless.

    Example:
        >>> pixels = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1)
        >>> statistics(TensorImages(pixels, torch.zeros(2, dtype=torch.int64)))
        ((0.5,), (0.5,))
    """
    count = len(images)
    chosen: Indices = range(count)
    if not isinstance(images, TensorImages) and count > SAMPLE:
        chosen = np.sort(generator(0, "statistics").choice(count, SAMPLE, replace=False))
    total: Tensor | int = 0
    squares: Tensor | int = 0
    values = 0
    for begin in range(0, len(chosen), 500):
        chunk = images.pixels(chosen[begin : begin + 500])
        total = total + chunk.sum(dim=(0, 2, 3), dtype=torch.int64)
        squares = squares + chunk.to(torch.int32).square_().sum(dim=(0, 2, 3), dtype=torch.int64)
        values += chunk.numel() // chunk.shape[1]
    mean = torch.as_tensor(total).double() / values
    deviation = (torch.as_tensor(squares).double() / values - mean.square()).clamp_min(0).sqrt()
    deviation = torch.where(deviation < 1e-6, torch.full_like(deviation, 255), deviation)
    return tuple((mean / 255).tolist()), tuple((deviation / 255).tolist())


def resize_tensor(images: Tensor, image_size: int) -> Tensor:
    """Resize uint8 [N, C, H, W] to squares: bicubic, antialiased when it shrinks.

    The shorter side is resized and the middle kept, as for files.

    Example:
        >>> resize_tensor(torch.zeros(2, 1, 8, 8, dtype=torch.uint8), 16).shape
        torch.Size([2, 1, 16, 16])
    """
    side = min(images.shape[2:])
    top, left = ((length - side) // 2 for length in images.shape[2:])
    images = images[:, :, top : top + side, left : left + side]
    if side == image_size:
        return images
    resized = torch.empty((*images.shape[:2], image_size, image_size), dtype=torch.uint8)
    for begin in range(0, len(images), 1000):
        chunk = F.interpolate(
            images[begin : begin + 1000].float(),
            size=(image_size, image_size),
            mode="bicubic",
            antialias=True,
        )
        resized[begin : begin + 1000] = chunk.round_().clamp_(0, 255).to(torch.uint8)
    return resized


def arrays_source(
    kind: str,
    train: TensorImages,
    test: Callable[[], TensorImages],
    test_labels: Tensor,
    classes: Sequence[str],
    image_size: int | None,
) -> Source:
    """A source whose images come as arrays of one size, resized if the user wants another."""
    native = train.images.shape[-1]
    size = image_size or native

    def resized(images: TensorImages) -> TensorImages:
        return TensorImages(resize_tensor(images.images, size), images.labels)

    return Source(
        kind=kind,
        train=resized(train),
        test=lambda: resized(test()),
        test_labels=test_labels,
        classes=classes,
        channels=train.images.shape[1],
        image_size=size,
    )
