"""Images that are decoded when they are needed, in worker processes if the user wants."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from spos._util.errors import UserError
from spos._util.randomness import generator
from spos.data.decode import to_array
from spos.data.images import Images, Indices, as_indices
from spos.data.photograph import fit, random_photograph

Places = Callable[[int], npt.NDArray[np.int64]]


class Photographs(ABC):
    """Where streamed images come from: any number of images of any size, numbered from 0."""

    channels: int

    @abstractmethod
    def open(self, index: int, shorter: int | None) -> Image.Image:
        """An image in mode L or RGB, by the number of channels.

        Args:
            index: which one.
            shorter: the side in pixels that the caller will resize its shorter side to, for
                sources that can save work by this; None if it needs all pixels.

        Raises:
            UserError: it cannot be read.
        """


class _Chained(Photographs):
    """The photographs of one source and then those of another."""

    def __init__(self, one: Photographs, count: int, other: Photographs) -> None:
        self.one = one
        self.count = count
        self.other = other
        self.channels = one.channels

    def open(self, index: int, shorter: int | None) -> Image.Image:
        if index < self.count:
            return self.one.open(index, shorter)
        return self.other.open(index - self.count, shorter)


class StreamedImages(Images):
    """Images decoded when they are needed.

    Args:
        photographs: where they come from.
        labels: the target of each photograph: int64 [all of them], or float32 [all of them, ...].
        image_size: the side of the square images in pixels.
        workers: processes that decode for the batches; 0 decodes in this one.
        indices: which photographs these are, in this order; all if left out.
    """

    def __init__(
        self,
        photographs: Photographs,
        labels: Tensor,
        image_size: int,
        workers: int = 0,
        indices: Tensor | None = None,
    ) -> None:
        self.photographs = photographs
        self.image_size = image_size
        self.workers = workers
        self._all_labels = labels
        self._indices = torch.arange(len(labels)) if indices is None else indices
        self._labels = labels[self._indices]

    @property
    def labels(self) -> Tensor:
        return self._labels

    def pixels(self, indices: Indices) -> Tensor:
        return self._stack([self.decode(int(at)) for at in as_indices(indices)])

    def subset(self, indices: Indices) -> StreamedImages:
        chosen = self._indices[as_indices(indices)]
        return StreamedImages(
            self.photographs, self._all_labels, self.image_size, self.workers, chosen
        )

    def join(self, other: Images) -> StreamedImages:
        if not isinstance(other, StreamedImages) or other.image_size != self.image_size:
            raise ValueError("only images of one source can be joined")
        first = len(self._all_labels)
        return StreamedImages(
            _Chained(self.photographs, first, other.photographs),
            torch.cat((self._all_labels, other._all_labels)),
            self.image_size,
            self.workers,
            torch.cat((self._indices, other._indices + first)),
        )

    def to(self, device: torch.device | str) -> StreamedImages:
        return self

    def decode(self, place: int, random: np.random.Generator | None = None) -> Image.Image:
        """One square image: the middle of the photograph, or a random crop of it with jitter."""
        at = int(self._indices[place])
        if random is not None:
            return random_photograph(self.photographs.open(at, None), self.image_size, random)
        return fit(self.photographs.open(at, self.image_size), self.image_size)

    def _stack(self, images: list[Image.Image]) -> Tensor:
        shape = (len(images), self.photographs.channels, self.image_size, self.image_size)
        stacked = np.empty(shape, dtype=np.uint8)
        for row, image in zip(stacked, images, strict=True):
            row[...] = to_array(image)
        return torch.from_numpy(stacked)


class _Batches(Dataset[Tensor | str]):
    """A whole batch as the item of a step, so that a worker's share of the work is one batch."""

    def __init__(
        self, images: StreamedImages, places: Places, random: tuple[int, int] | None
    ) -> None:
        self.images = images
        self.places = places
        self.random = random

    def __getitem__(self, step: int) -> Tensor | str:
        places = self.places(step)
        try:
            if self.random is None:
                return self.images.pixels(places)
            seed, first = self.random
            return self.images._stack(
                [
                    self.images.decode(int(place), generator(seed, "photograph", step, first + row))
                    for row, place in enumerate(places)
                ]
            )
        except UserError as error:
            # An exception that crosses processes comes back with a traceback for its message.
            return str(error)


def _unchanged(item: Any) -> Any:
    return item


def decoded_batches(
    images: StreamedImages,
    places: Places,
    steps: range,
    device: torch.device,
    random: tuple[int, int] | None = None,
) -> Iterator[Tensor]:
    """Decode batches ahead of their use.

    Args:
        images: what to read.
        places: the places in ``images`` of a step's batch; it is sent to the workers.
        steps: the steps, in their order.
        device: where the batches are put.
        random: None for the middle of each photograph. For random crops the seed, and the
            position in the whole batch of the first image that ``places`` gives.

    Yields:
        uint8 [n, C, S, S].

    Raises:
        UserError: a photograph cannot be read.
    """
    with warnings.catch_warnings():
        # More workers than cores is the user's decision, and a library prints nothing.
        warnings.filterwarnings("ignore", message="This DataLoader will create")
        loader = DataLoader(
            _Batches(images, places, random),
            batch_size=None,
            sampler=steps,
            num_workers=images.workers,
            collate_fn=_unchanged,
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
