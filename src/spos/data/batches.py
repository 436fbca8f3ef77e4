"""Batches on the device, each a pure function of the seed and the step."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache, partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from spos._util.errors import UserError
from spos._util.randomness import generator, torch_generator
from spos.data.augmentation import POLICIES, check_policy, draw
from spos.data.augmentation import augment as apply_draws
from spos.data.images import ImageData, Images
from spos.data.own_augmentation import apply_own, find_augmentation, is_own
from spos.data.streamed import BatchIndices, StreamedImages, decoded_batches

Batches = Iterator[tuple[Tensor, Tensor]]


@lru_cache(maxsize=4)
def _permutation(seed: int, count: int, epoch: int) -> npt.NDArray[np.int64]:
    return generator(seed, "order", epoch).permutation(count)


def _shuffled(
    step: int, *, seed: int, count: int, batch_size: int, rows: slice
) -> npt.NDArray[np.int64]:
    """Indices of a step's batch: a new permutation every epoch, no partial batch."""
    epoch, batch = divmod(step, count // batch_size)
    begin = batch * batch_size
    return _permutation(seed, count, epoch)[begin : begin + batch_size][rows]


def _consecutive(batch: int, *, count: int, batch_size: int) -> npt.NDArray[np.int64]:
    """Indices of an evaluation's batch."""
    return np.arange(batch * batch_size, min((batch + 1) * batch_size, count))


class _Normalise:
    """To float32 with mean 0 and standard deviation 1, in one pass over the batch."""

    def __init__(self, data: ImageData, device: torch.device) -> None:
        mean = torch.tensor(data.mean, device=device).view(-1, 1, 1)
        deviation = torch.tensor(data.std, device=device).view(-1, 1, 1)
        self.scale = 1 / (255 * deviation)
        self.offset = -mean / deviation
        self.fill = 255 * mean.flatten()

    def __call__(self, images: Tensor) -> Tensor:
        return torch.addcmul(self.offset, images.to(torch.float32), self.scale)


def training_batches(
    data: ImageData,
    images: Images,
    *,
    batch_size: int,
    seed: int,
    start: int = 0,
    steps: int,
    augment: str = "standard",
    device: torch.device | str,
    rank: int = 0,
    world_size: int = 1,
) -> Batches:
    """Batches of the steps ``start`` to ``steps`` - 1: shuffled, augmented and normalised.

    A batch depends on the seed and its step alone: starting later, sharing it among processes, or
    decoding with more workers gives the same numbers. The last partial batch of an epoch is left
    out.

    Args:
        data (ImageData): provides the normalisation.
        images (Images): images to train on, usually ``data.train``.
        batch_size (int): images per step, over all processes.
        seed (int): seed of the run, at least 0.
        start (int): first step.
        steps (int): step to stop before.
        augment (str): key of :data:`spos.data.POLICIES`, or the name of a function
            (:func:`spos.data.register_augmentation`). ``imagenet`` crops streamed images out of
            the whole photograph, and images in memory out of the square.
        device (torch.device | str): device of the batches.
        rank (int): number of this process; it takes a contiguous slice of every batch.
        world_size (int): number of processes; divides ``batch_size``.

    Yields:
        tuple: images, float32, shape (batch_size / world_size, C, S, S), and their targets.

    Raises:
        UserError: there are fewer images than a batch, the processes cannot share a batch evenly,
            or the augmentation is unknown.

    Example:
        >>> from spos.data import load_data
        >>> data = load_data("digits")
        >>> batches = training_batches(
        ...     data, data.train, batch_size=64, seed=0, steps=2, augment="crop", device="cpu")
        >>> [tuple(x.shape) for x, y in batches]
        [(64, 1, 8, 8), (64, 1, 8, 8)]
    """
    own = find_augmentation(augment) if is_own(augment) else None
    if own is None:
        check_policy(augment)
    check_batch(batch_size, len(images), rank, world_size)
    share = batch_size // world_size
    rows = slice(rank * share, (rank + 1) * share)
    order = partial(_shuffled, seed=seed, count=len(images), batch_size=batch_size, rows=rows)
    normalise = _Normalise(data, torch.device(device))
    # Streamed images are cropped out of the whole photograph, by the workers that decode it.
    cropped = augment == "imagenet" and isinstance(images, StreamedImages)
    random = (seed, rows.start) if cropped else None

    def batches() -> Batches:
        span = range(start, steps)
        for step, pixels, labels in _batches(images, order, span, torch.device(device), random):
            if own is not None:
                pixels = apply_own(own, pixels, seed, step, rows.start)
            elif POLICIES[augment] and not cropped:
                drawing = torch_generator(seed, "augment", step)
                draws = draw(augment, batch_size, data.image_size, drawing)
                part = {name: drawn[rows] for name, drawn in draws.items()}
                pixels = apply_draws(pixels, part, normalise.fill)
            yield normalise(pixels), labels

    return batches()


def _batches(
    images: Images,
    indices: BatchIndices,
    steps: range,
    device: torch.device,
    random: tuple[int, int] | None = None,
) -> Iterator[tuple[int, Tensor, Tensor]]:
    if isinstance(images, StreamedImages):
        decoded = decoded_batches(images, indices, steps, device, random)
    else:
        decoded = (images.pixels(indices(step)).to(device) for step in steps)
    for step, pixels in zip(steps, decoded, strict=True):
        at = torch.from_numpy(indices(step)).to(images.labels.device)
        yield step, pixels, images.labels[at].to(device, non_blocking=True)


def evaluation_batches(
    data: ImageData, images: Images, *, batch_size: int, device: torch.device | str
) -> Batches:
    """All images in order, normalised, not augmented; the last batch may be smaller.

    Args:
        data (ImageData): provides the normalisation.
        images (Images): images to evaluate on, such as ``data.validation``.
        batch_size (int): images per batch, at least 1.
        device (torch.device | str): device of the batches.

    Yields:
        tuple: images, float32, shape (n, C, S, S), and their targets.

    Raises:
        UserError: the batch size is below 1.

    Example:
        >>> from spos.data import load_data
        >>> data = load_data("digits")
        >>> batches = evaluation_batches(data, data.validation, batch_size=100, device="cpu")
        >>> [len(y) for x, y in batches]
        [100, 44]
    """
    if batch_size < 1:
        raise UserError(f"batch_size {batch_size}: must be at least 1")
    place = torch.device(device)
    normalise = _Normalise(data, place)
    steps = range(-(-len(images) // batch_size))
    indices = partial(_consecutive, count=len(images), batch_size=batch_size)
    batches = _batches(images, indices, steps, place)
    return ((normalise(pixels), labels) for _, pixels, labels in batches)


def check_batch(batch_size: int, count: int, rank: int = 0, world_size: int = 1) -> None:
    """Check that images make batches that processes share evenly.

    Args:
        batch_size (int): images per step, over all processes.
        count (int): number of training images.
        rank (int): number of this process.
        world_size (int): number of processes.

    Raises:
        UserError: the images do not make such batches.
    """
    if batch_size < 1:
        raise UserError(f"batch_size {batch_size}: must be at least 1")
    if not 0 <= rank < world_size:
        raise UserError(f"rank {rank} of {world_size} processes: allowed: 0 to {world_size - 1}")
    if count < batch_size:
        raise UserError(
            f"batch_size {batch_size}: there are only {count} training images;"
            f" the largest batch size possible is {count - count % world_size}"
        )
    if batch_size % world_size:
        down = batch_size - batch_size % world_size
        raise UserError(
            f"batch_size {batch_size}: {world_size} processes share a batch evenly;"
            f" nearest valid: {down or world_size}"
        )
