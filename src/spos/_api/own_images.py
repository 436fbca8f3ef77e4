"""Images that a user has in memory, or as a Dataset."""

from __future__ import annotations

import inspect
import time
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    TensorDataset,
    default_collate,
    default_convert,
)

from spos._util.errors import UserError
from spos.data import DataOptions, ImageData, Source, dataset_source
from spos.data.dataset import SeveralSizesError
from spos.data.decode import to_array
from spos.data.items import in_memory, to_image
from spos.data.load import assemble
from spos.data.peek import ImageFacts, is_grey
from spos.data.photograph import fit
from spos.run.config import make_config

#: What a DataLoader has unless more is given than batches and their order.
_OF_LOADERS = (
    SequentialSampler,
    RandomSampler,
    BatchSampler,
    type(None),
    default_collate,
    default_convert,
)
#: Images whose sizes are looked at.
SAMPLE = 30
#: Channels that images can have.
CHANNELS = (1, 3)
#: What the two arrays of images and classes can be.
ALLOWED = {
    "images": "a dense array or tensor of uint8, or of float in 0 to 1, of shape (N, C, H, W), "
    "(N, H, W, C) or (N, H, W)",
    "classes": "whole numbers from 0, one for each image; names of the classes go to classes=",
}


def as_dataset(data: Any) -> Any:
    """Images with classes in any form as a Dataset; what is none already is returned as it is.

    Args:
        data (Any): Dataset, DataLoader of one, or pair of arrays of images and classes.

    Raises:
        UserError: the loader has more than batches and their order, the arrays differ in length,
            or are not of numbers.
    """
    if isinstance(data, DataLoader):
        # Batches are made anew, of all images of the dataset.
        for name in ("sampler", "batch_sampler", "collate_fn"):
            part = getattr(data, name)
            kind = part if inspect.isroutine(part) else type(part)
            if kind not in _OF_LOADERS and not isinstance(data.dataset, IterableDataset):
                raise UserError(
                    f"a DataLoader with the {name} {kind.__name__}: it would not be used; give a "
                    "Dataset of the images that are meant, such as a Subset"
                )
        return data.dataset
    if isinstance(data, (tuple, list)) and len(data) == 2 and hasattr(data[0], "shape"):
        images, labels = as_images(data[0]), _as_tensor(data[1], "classes")
        if len(images) != len(labels):
            raise UserError(
                f"{len(images)} images and {len(labels)} classes: give one class for each image"
            )
        return TensorDataset(images, labels)
    return data


def as_images(values: Any, channels: int = 0) -> Tensor:
    """Images in one array as a tensor of shape (N, C, H, W).

    Args:
        values (Any): the array.
        channels (int): channels that they have to have; 0 where that is not known.

    Raises:
        UserError: they are not numbers, or a single image.

    Example:
        >>> as_images(np.zeros((2, 8, 9), np.uint8)).shape
        torch.Size([2, 1, 8, 9])
        >>> as_images(np.zeros((2, 8, 9, 3), np.uint8)).shape
        torch.Size([2, 3, 8, 9])
    """
    images = _as_tensor(values, "images")
    # For a network of colours, that is a tensor of one image rather than three grey images.
    colours = images.shape[:1] == (3,) and channels == 3
    if images.dim() == 3 and (images.shape[2] in CHANNELS or colours):
        raise UserError(f"images of shape {list(images.shape)}: a single one; give image[None]")
    if images.dim() == 3:
        return images[:, None]
    # NumPy, Pillow and OpenCV have the channels last.
    if images.dim() == 4 and images.shape[1] not in CHANNELS and images.shape[3] in CHANNELS:
        return images.permute(0, 3, 1, 2)
    return images


def as_read(image: Any, where: str, channels: int, side: int) -> Tensor:
    """The pixels of one image, shape (C, S, S), as those of a Dataset are read.

    Raises:
        UserError: it is no image.

    Example:
        >>> as_read(np.zeros((8, 9), np.uint8), "image 0", 3, 4).shape
        torch.Size([3, 4, 4])
    """
    read = to_image(image, where).convert("RGB" if channels == 3 else "L")
    return torch.tensor(to_array(fit(read, side)))


def _as_tensor(values: Any, what: str) -> Tensor:
    try:
        if isinstance(values, np.ndarray):
            # Torch reads neither an array backwards nor one of another byte order.
            order: Any = "C" if min(values.strides, default=0) < 0 else "K"
            values = np.asarray(values, values.dtype.newbyteorder("="), order=order)
        with warnings.catch_warnings():
            # An array that may only be read, such as a mapped file, is only read.
            warnings.filterwarnings("ignore", "The given NumPy array is not writable")
            tensor = torch.as_tensor(values)
        # Which images can be read is known by the first.
        in_memory(tensor[:1], what)
    except (TypeError, ValueError, IndexError, RuntimeError):
        kind = getattr(values, "dtype", type(values).__name__)
        raise UserError(f"{what} of type {kind}; allowed: {ALLOWED[what]}") from None
    return tensor


def _median_side(dataset: Any) -> int:
    """Median of the shorter sides, in pixels, of a sample of the images."""
    places = np.linspace(0, len(dataset) - 1, min(len(dataset), SAMPLE)).astype(int).tolist()
    shorter = [min(to_image(dataset[place][0], f"train, item {place}").size) for place in places]
    return int(np.median(shorter))


class OwnImages:
    """The images of a Dataset, read once for the plan and kept for the run.

    Args:
        dataset (Any): images with classes, as for :func:`spos.data.dataset_source`.
        test (Any): test images; None to split them off.
        classes (Sequence[str] | None): names of the classes.
        side (int | None): side to resize images to; None for their own, or the median of their
            shorter sides if they differ.
    """

    def __init__(
        self, dataset: Any, test: Any, classes: Sequence[str] | None, side: int | None = None
    ) -> None:
        self.dataset, self.test, self.classes = dataset, test, classes
        self.notes: list[str] = []
        began = time.monotonic()
        try:
            source = self._read(DataOptions(image_size=side))
        except SeveralSizesError:
            self.notes = ["images of several sizes: the middle square of each, resized"]
            source = self._read(DataOptions(image_size=_median_side(dataset)))
        self.source: Source | None = source
        reading = time.monotonic() - began
        train = source.train
        self.facts = ImageFacts(
            count=len(train),
            classes=len(source.classes),
            side=train.image_size,
            channels=train.channels,
            grey=is_grey(train.pixels(range(min(len(train), 200)))),
            has_validation=False,
            has_test=test is not None,
            # Once more, at the side of the plan.
            reading=reading,
            decoding=reading / len(train),
        )

    def load(self, planned: Mapping[str, Any], seed: int) -> ImageData:
        """The images, split and resized by the settings of a plan."""
        chosen = planned.get("data", {})
        # Of the preset, where a plan left the layout as it is.
        layout = make_config({part: planned.get(part, {}) for part in ("space", "layout")}).layout
        options = DataOptions(
            test=chosen.get("test", 0.1),
            validation=chosen.get("validation", 0.1),
            image_size=layout.image_size,
            seed=seed,
            **{name: chosen[name] for name in ("stream", "workers") if name in chosen},
        )
        # Given away: splitting rearranges the memory of the images.
        source, self.source = self.source, None
        held = options.stream == "auto" and options.image_size == self.facts.side
        if source is None or not held:
            source = self._read(options)
        source.notes += self.notes
        return assemble("dataset", "dataset", source, options)

    def _read(self, options: DataOptions) -> Source:
        return dataset_source(self.dataset, options, test=self.test, classes=self.classes)

    def __getstate__(self) -> dict[str, Any]:
        # Other processes read the images themselves.
        return {**self.__dict__, "source": None}
