"""Batches on the device, each a pure function of the seed and the step."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from spos._util.errors import UserError
from spos._util.randomness import generator, torch_generator
from spos.data.augmentation import POLICIES, augment, check_policy, draw
from spos.data.image_data import ImageData
from spos.data.images import Images
from spos.data.streamed import StreamedImages, decoded_batches

Batches = Iterator[tuple[Tensor, Tensor]]


class Order:
    """Which images are in the batch of a step: a new permutation every epoch, no partial batch.

    Args:
        seed: the seed of the run.
        count: the number of images.
        batch_size: the images of a step, over all processes.
        rows: the part of each batch that this process takes.

    Example:
        >>> order = Order(seed=0, count=5, batch_size=2, rows=slice(0, 2))
        >>> len(order.at(0)), set(order.at(0)) & set(order.at(1))
        (2, set())
    """

    def __init__(self, seed: int, count: int, batch_size: int, rows: slice) -> None:
        self.seed = seed
        self.count = count
        self.batch_size = batch_size
        self.rows = rows
        self.epoch: tuple[int, npt.NDArray[np.int64]] = (-1, np.zeros(0, np.int64))

    def at(self, step: int) -> npt.NDArray[np.int64]:
        """The places of this process's images in the batch of a step."""
        epoch, batch = divmod(step, self.count // self.batch_size)
        if self.epoch[0] != epoch:
            permutation = generator(self.seed, "order", epoch).permutation(self.count)
            self.epoch = (epoch, permutation)
        begin = batch * self.batch_size
        return self.epoch[1][begin : begin + self.batch_size][self.rows]


class _Normalise:
    """To float32 with mean 0 and deviation 1, in one pass over the batch."""

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
    """The batches of the steps ``start`` to ``steps`` - 1, shuffled, augmented, and normalised.

    A batch depends on the seed and its step alone: starting later, sharing it among processes,
    or reading with more workers gives the same numbers. A last partial batch of an epoch is
    left out.

    Args:
        data: what the normalisation is taken from.
        images: the images to train on, usually ``data.train``.
        batch_size: images a step, over all processes.
        seed: the seed of the run, at least 0.
        start: the first step.
        steps: the step to stop before.
        augment: none, flip, crop, standard, cutout, rich, or imagenet. ``imagenet`` crops
            streamed images out of the whole photograph, and images in memory out of the square.
        device: where the batches are put.
        rank: which of the processes this is; it takes a contiguous slice of every batch.
        world_size: the number of processes; it must divide ``batch_size``.

    Yields:
        float32 [batch_size / world_size, C, S, S] and the targets: int64 [batch_size / world_size],
        or float32 [batch_size / world_size, ...].

    Raises:
        UserError: there are fewer images than a batch, the processes cannot share a batch
            evenly, or there is no such augmentation.

    Example:
        >>> from spos.data import load_data
        >>> data = load_data("digits")
        >>> batches = training_batches(
        ...     data, data.train, batch_size=64, seed=0, steps=2, augment="crop", device="cpu")
        >>> [tuple(x.shape) for x, y in batches]
        [(64, 1, 8, 8), (64, 1, 8, 8)]
    """
    check_policy(augment)
    check_batch(batch_size, len(images), rank, world_size)
    share = batch_size // world_size
    rows = slice(rank * share, (rank + 1) * share)
    order = Order(seed, len(images), batch_size, rows)
    return _training(data, images, order, range(start, steps), augment, torch.device(device))


def _training(
    data: ImageData, images: Images, order: Order, steps: range, policy: str, device: torch.device
) -> Batches:
    normalise = _Normalise(data, device)
    cropped_by_reader = policy == "imagenet" and isinstance(images, StreamedImages)
    for step, pixels, labels in _pixels(images, order, steps, cropped_by_reader, device):
        if not cropped_by_reader and POLICIES[policy]:
            random = torch_generator(order.seed, "augment", step)
            draws = draw(policy, order.batch_size, data.image_size, random)
            mine = {name: drawn[order.rows] for name, drawn in draws.items()}
            pixels = augment(pixels, mine, normalise.fill)
        yield normalise(pixels), labels


def _pixels(
    images: Images, order: Order, steps: range, cropped: bool, device: torch.device
) -> Iterator[tuple[int, Tensor, Tensor]]:
    if isinstance(images, StreamedImages):
        random = (order.seed, order.rows.start) if cropped else None
        decoded = decoded_batches(images, order.at, steps, device, random)
        for step, pixels in zip(steps, decoded, strict=True):
            labels = images.labels[torch.from_numpy(order.at(step))]
            yield step, pixels, labels.to(device, non_blocking=True)
    else:
        labels = images.labels
        for step in steps:
            at = torch.from_numpy(order.at(step))
            yield step, images.pixels(at).to(device), labels[at.to(labels.device)].to(device)


def evaluation_batches(
    data: ImageData, images: Images, *, batch_size: int, device: torch.device | str
) -> Batches:
    """All images in their order, normalised, not augmented; the last batch may be smaller.

    Args:
        data: what the normalisation is taken from.
        images: the images to evaluate on, as ``data.validation``.
        batch_size: images a batch, at least 1.
        device: where the batches are put.

    Yields:
        float32 [n, C, S, S] and the targets: int64 [n], or float32 [n, ...].

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
        raise UserError(f"batch_size {batch_size}: a batch needs at least 1 image")
    return _evaluation(data, images, batch_size, torch.device(device))


class _Consecutive:
    """Which images are in a batch of an evaluation (a class, so that it travels to workers)."""

    def __init__(self, count: int, batch_size: int) -> None:
        self.count = count
        self.batch_size = batch_size

    def __call__(self, batch: int) -> npt.NDArray[np.int64]:
        begin = batch * self.batch_size
        return np.arange(begin, min(begin + self.batch_size, self.count))


def _evaluation(data: ImageData, images: Images, batch_size: int, device: torch.device) -> Batches:
    normalise = _Normalise(data, device)
    places = _Consecutive(len(images), batch_size)
    batches = range(-(-len(images) // batch_size))
    if isinstance(images, StreamedImages):
        decoded = decoded_batches(images, places, batches, device)
    else:
        decoded = (images.pixels(places(batch)).to(device) for batch in batches)
    for batch, pixels in zip(batches, decoded, strict=True):
        labels = images.labels[batch * batch_size : batch * batch_size + len(pixels)]
        yield normalise(pixels), labels.to(device)


def check_batch(batch_size: int, count: int, rank: int = 0, world_size: int = 1) -> None:
    """Check that images make batches that processes share evenly.

    Args:
        batch_size: images a step, over all processes.
        count: training images.
        rank: of this process.
        world_size: processes.

    Raises:
        UserError: they do not.
    """
    if batch_size < 1:
        raise UserError(f"batch_size {batch_size}: a batch needs at least 1 image")
    if not 0 <= rank < world_size:
        raise UserError(f"rank {rank} of {world_size} processes: allowed: 0 to {world_size - 1}")
    largest = count - count % world_size
    if count < batch_size:
        raise UserError(
            f"batch_size {batch_size}: there are only {count} training images;"
            f" the largest batch size possible is {largest}"
        )
    if batch_size % world_size:
        down = batch_size - batch_size % world_size
        raise UserError(
            f"batch_size {batch_size}: {world_size} processes share a batch evenly;"
            f" nearest valid: {down or world_size}"
        )
