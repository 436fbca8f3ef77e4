"""Images that are decoded when they are needed, optionally in worker processes."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader

from spos._util.errors import UserError
from spos._util.randomness import generator
from spos.data.decode import to_array
from spos.data.images import Images, Indices, TensorImages, as_indices
from spos.data.photograph import fit, random_photograph

BatchIndices = Callable[[int], npt.NDArray[np.int64]]
"""Indices of the images of a step's batch."""


READ_AT_ONCE = 64
"""Images that a process decodes at a time where all are."""


class Photographs(ABC):
    """Where streamed images come from: images of any size, numbered from 0.

    Attributes:
        channels (int): 1 or 3.
        digests (NDArray[np.int64]): a number for each, the same for equal files; empty if unknown.
    """

    channels: int
    digests: npt.NDArray[np.int64] = np.empty(0, np.int64)

    @abstractmethod
    def open(self, index: int, shorter: int | None) -> Image.Image:
        """An image of mode L or RGB, by the number of channels.

        Args:
            index (int): which image.
            shorter (int | None): side in pixels that the caller will resize the shorter side to,
                for sources that can save work by it; None to get all pixels.

        Raises:
            UserError: the image cannot be read.
        """


class StreamedImages(Images):
    """Images decoded when they are needed.

    Args:
        photographs (Photographs): all images of the source.
        labels (Tensor): target of each photograph, int64, shape (N,), or float32, shape (N, ...).
        image_size (int): side of the square images in pixels.
        workers (int): processes that decode batches; 0 decodes in this process.
        indices (Indices | None): photographs that these images are, in this order; all if None.
    """

    def __init__(
        self,
        photographs: Photographs,
        labels: Tensor,
        image_size: int,
        workers: int = 0,
        indices: Indices | None = None,
    ) -> None:
        self.photographs, self.channels = photographs, photographs.channels
        self.image_size, self.workers = image_size, workers
        self._all_labels = labels
        self._indices = as_indices(range(len(labels)) if indices is None else indices)
        self.labels = labels[self._indices]

    def _at(self, indices: Tensor) -> StreamedImages:
        same = (self.photographs, self._all_labels, self.image_size, self.workers)
        return StreamedImages(*same, indices)

    def pixels(self, indices: Indices) -> Tensor:
        return self.stack(self.decode(int(at)) for at in as_indices(indices))

    def digests(self) -> list[int]:
        known = self.photographs.digests
        return known[self._indices.numpy()].tolist() if len(known) else []

    def subset(self, indices: Indices) -> StreamedImages:
        return self._at(self._indices[as_indices(indices)])

    def join(self, other: Images) -> StreamedImages:
        if not isinstance(other, StreamedImages) or other.photographs is not self.photographs:
            raise ValueError("only images of one source can be joined")
        return self._at(torch.cat((self._indices, other._indices)))

    def to(self, device: torch.device | str) -> StreamedImages:
        return self

    @property
    def nbytes(self) -> int:
        """Bytes that these images would take in memory."""
        return len(self) * self.channels * self.image_size**2

    def in_memory(self) -> TensorImages:
        """Decode all of these images once."""
        steps = range(-(-len(self) // READ_AT_ONCE))
        batches = decoded_batches(self, self._part, steps, torch.device("cpu"))
        return TensorImages(torch.cat([*batches]), self.labels, owned=True)

    def _part(self, step: int) -> npt.NDArray[np.int64]:
        return np.arange(step * READ_AT_ONCE, min((step + 1) * READ_AT_ONCE, len(self)))

    def decode(self, index: int, random: np.random.Generator | None = None) -> Image.Image:
        """One square image: the centre of the photograph, or a random training view.

        Args:
            index (int): which of these images.
            random (numpy.random.Generator | None): source of randomness of a training view.
        """
        at = int(self._indices[index])
        if random is not None:
            return random_photograph(self.photographs.open(at, None), self.image_size, random)
        return fit(self.photographs.open(at, self.image_size), self.image_size)

    def stack(self, images: Iterable[Image.Image]) -> Tensor:
        """Square images as one tensor: uint8, shape (n, C, S, S).

        Args:
            images (Iterable[Image.Image]): images of mode L or RGB, of the side of these.
        """
        pixels = np.array([to_array(image) for image in images], dtype=np.uint8)
        return torch.from_numpy(pixels).view(-1, self.channels, self.image_size, self.image_size)


def _decode(
    images: StreamedImages, indices: BatchIndices, random: tuple[int, int] | None, step: int
) -> Tensor | str:
    try:
        if random is None:
            return images.pixels(indices(step))
        seed, first = random
        return images.stack(
            images.decode(int(index), generator(seed, "photograph", step, first + row))
            for row, index in enumerate(indices(step))
        )
    except UserError as error:
        # An exception that crosses processes comes back with a traceback as its message.
        return str(error)


def decoded_batches(
    images: StreamedImages,
    indices: BatchIndices,
    steps: range,
    device: torch.device,
    random: tuple[int, int] | None = None,
) -> Iterator[Tensor]:
    """Decode batches ahead of their use.

    Args:
        images (StreamedImages): images to read.
        indices (BatchIndices): indices of a step's batch; sent to the workers.
        steps (range): steps in order.
        device (torch.device): device of the batches.
        random (tuple[int, int] | None): None for the centre of each photograph; for random
            training views the seed, and the position in the whole batch of the first image.

    Yields:
        Tensor: uint8, shape (n, C, S, S).

    Raises:
        UserError: a photograph cannot be read.
    """
    with warnings.catch_warnings():
        # More workers than cores is the user's decision, and a library prints nothing.
        warnings.filterwarnings("ignore", message="This DataLoader will create")
        loader: DataLoader[Any] = DataLoader(
            # A whole batch is one item, so that a worker's share of the work is one batch.
            steps,  # type: ignore[arg-type]
            batch_size=None,
            collate_fn=partial(_decode, images, indices, random),
            num_workers=images.workers,
            pin_memory=device.type == "cuda",
            # Without its own generator a loader draws from torch's global one.
            generator=torch.Generator(),
        )
        batches = iter(loader)
    try:
        for batch in batches:
            if isinstance(batch, str):
                raise UserError(batch)
            yield batch.to(device, non_blocking=True)
    finally:
        # The worker processes end with their iterator, which a traceback would keep alive.
        del batches
