"""Any torch Dataset of (image, label) as a source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset

from spos.data.assemble import Source, assemble
from spos.data.decode import to_array
from spos.data.image_data import ImageData
from spos.data.image_size import check_image_size
from spos.data.images import Images, TensorImages
from spos.data.photograph import fit
from spos.data.reading import check_reading
from spos.data.sources.items import to_image, to_label
from spos.data.split import Size, check_size, stratified_split
from spos.data.streamed import Photographs, StreamedImages
from spos.errors import UserError


def dataset_data(
    train: Dataset[Any],
    *,
    test: Dataset[Any] | None = None,
    validation: Size = 0.1,
    test_size: Size = 0.1,
    classes: Sequence[str] | None = None,
    image_size: int | None = None,
    seed: int = 0,
    stream: str = "auto",
    workers: int = 0,
    memory_limit: int = 4 << 30,
) -> ImageData:
    """The data of a run from your own Dataset.

    Its items are (image, label): a PIL image, a uint8 or float (0..1) tensor [C, H, W], or an
    array [H, W] or [H, W, C]; the label a whole number from 0. All of ``train`` is read once
    before this returns. It should neither augment nor normalise: that is done here.

    Args:
        train: the training images; anything with a length and items by index.
        test: the test images, of which only the labels are kept before the end; a part of
            ``train`` if left out.
        validation: what is split off ``train``: a number, or a fraction in (0, 1).
        test_size: likewise for the test images, if ``test`` is left out.
        classes: a name for each label; ``train.classes`` or the numbers if left out.
        image_size: the side to resize to, in pixels; that of the images if left out.
        seed: of the validation split, at least 0.
        stream: "never" holds the images in memory, "always" asks the Dataset for them each time,
            "auto" does so if they are larger than ``memory_limit``.
        workers: processes that read streamed images; 0 reads in this one.
        memory_limit: bytes of the training images.

    Raises:
        UserError: an argument is out of its range, or an item is not as it should be.

    Example:
        >>> items = [(torch.full((1, 8, 8), n, dtype=torch.uint8), n % 2) for n in range(40)]
        >>> data = dataset_data(items, classes=["even", "odd"])
        >>> len(data.train), len(data.validation), len(data.test())
        (32, 4, 4)
    """
    check_image_size(image_size)
    check_size("validation", validation)
    check_size("test_size", test_size)
    check_reading(seed, stream, workers, memory_limit)
    for dataset in (train, test):
        if isinstance(dataset, IterableDataset) or not (
            dataset is None or (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__"))
        ):
            raise UserError(
                f"dataset {type(dataset).__name__}: it has no items by index;"
                " allowed: a Dataset with __len__ and __getitem__"
            )
    items = DatasetPhotographs(train, "train")
    side = image_size or min(items.open(0, None).size)
    large = len(items) * items.channels * side * side > memory_limit
    streamed = stream == "always" or (stream == "auto" and large)
    labels, pixels = items.read(image_size, keep=not streamed)
    names = _class_names(train, classes, int(labels.max()))
    images: Images = (
        StreamedImages(items, labels, side, workers) if streamed else TensorImages(pixels, labels)
    )
    notes = []
    if test is None:
        rest, part = stratified_split(labels, test_size, 0, option="test_size", classes=names)
        notes.append(f"no test Dataset: {len(part)} of the {len(items)} images set apart as test")
        unread = StreamedImages(items, labels, side, workers, torch.from_numpy(part))
        images, _ = images.split_off(rest, [])
    else:
        others = DatasetPhotographs(test, "test", items.channels)
        test_labels, _ = others.read(side, keep=False)
        if int(test_labels.max()) >= len(names):
            raise UserError(
                f"test: the label {int(test_labels.max())}; allowed: 0 to {len(names) - 1}"
            )
        unread = StreamedImages(others, test_labels, side, workers)

    def read_test() -> Images:
        if streamed:
            return unread
        return TensorImages(unread.pixels(range(len(unread))), unread.labels)

    source = Source(
        kind="dataset",
        train=images,
        test=read_test,
        test_labels=unread.labels,
        classes=names,
        channels=items.channels,
        image_size=side,
        notes=notes,
    )
    return assemble("dataset", source, validation, seed)


def _class_names(dataset: Any, classes: Sequence[str] | None, largest: int) -> list[str]:
    if classes is None:
        own = getattr(dataset, "classes", None)
        classes = own if isinstance(own, (list, tuple)) and len(own) > largest else None
    if classes is None:
        return [str(label) for label in range(largest + 1)]
    if len(classes) <= largest:
        raise UserError(
            f"classes: {len(classes)} names for labels up to {largest};"
            f" nearest valid: {largest + 1} names"
        )
    return [str(name) for name in classes]


class DatasetPhotographs(Photographs):
    """The images of a Dataset.

    Args:
        dataset: of (image, label).
        name: how an error calls it.
        channels: 1 or 3; as the first image if left out.

    Raises:
        UserError: the Dataset is empty, or its first item is not as it should be.
    """

    def __init__(self, dataset: Any, name: str, channels: int | None = None) -> None:
        self.dataset = dataset
        self.name = name
        if len(dataset) == 0:
            raise UserError(f"{name}: the Dataset is empty; it needs images of at least 2 classes")
        self.channels = channels or len(self._item(0)[0].getbands())

    def __len__(self) -> int:
        return len(self.dataset)

    def open(self, index: int, shorter: int | None) -> Image.Image:
        return self._in_channels(self._item(index)[0], index)

    def read(self, image_size: int | None, keep: bool) -> tuple[Tensor, Tensor]:
        """Read all items.

        Args:
            image_size: the side to resize to; None to insist on that of the first image.
            keep: whether the pixels are wanted.

        Returns:
            Labels, int64 [N], and pixels, uint8 [N or 0, C, S, S].
        """
        count, first = len(self), self.open(0, None).size
        side = image_size or min(first)
        labels = torch.empty(count, dtype=torch.int64)
        shape = (count if keep else 0, self.channels, side, side)
        pixels = torch.empty(shape, dtype=torch.uint8)
        rows = pixels.numpy()
        for index in range(count):
            image, labels[index] = self._item(index)
            if image_size is None and image.size != first:
                raise UserError(
                    f"{self.name}, item {index}: {image.width}x{image.height} pixels, the first"
                    f" has {first[0]}x{first[1]}; name the side to resize to: image_size={side}"
                )
            image = self._in_channels(image, index)
            if keep:
                rows[index] = to_array(fit(image, side))
        return labels, pixels

    def _item(self, index: int) -> tuple[Image.Image, int]:
        item = self.dataset[index]
        where = f"{self.name}, item {index}"
        if not isinstance(item, (tuple, list)) or len(item) != 2:
            raise UserError(f"{where}: a {type(item).__name__}; allowed: (image, label)")
        return to_image(item[0], where), to_label(item[1], where)

    def _in_channels(self, image: Image.Image, index: int) -> Image.Image:
        if self.channels == 3:
            return image.convert("RGB")
        if image.mode != "L":
            raise UserError(
                f"{self.name}, item {index}: an image in colour, but the first is grey;"
                " allowed: all grey, or a first one in colour"
            )
        return image
