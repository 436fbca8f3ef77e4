"""Any torch Dataset of (image, target) as a source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset

from spos._util.errors import UserError, nearest
from spos.data.assemble import Source, assemble
from spos.data.decode import to_array
from spos.data.image_data import ImageData
from spos.data.image_size import check_image_size
from spos.data.images import Images, TensorImages
from spos.data.photograph import fit
from spos.data.reading import check_reading
from spos.data.sources.items import to_image, to_label, to_values
from spos.data.split import Size, check_size, split_targets
from spos.data.streamed import Photographs, StreamedImages

#: What the items of a Dataset are to be told by.
TARGETS = ("classes", "values")


def dataset_data(
    train: Dataset[Any],
    *,
    test: Dataset[Any] | None = None,
    validation: Size = 0.1,
    test_size: Size = 0.1,
    targets: str = "classes",
    classes: Sequence[str] | None = None,
    image_size: int | None = None,
    seed: int = 0,
    stream: str = "auto",
    workers: int = 0,
    memory_limit: int = 4 << 30,
) -> ImageData:
    """The data of a run from your own Dataset.

    Its items are (image, target): a PIL image, a uint8 or float (0..1) tensor [C, H, W], or an
    array [H, W] or [H, W, C]; the target a whole number from 0, the class, or values. All of
    ``train`` is read once before this returns. It should neither augment nor normalise: that is
    done here, to the image alone.

    Args:
        train: the training images; anything with a length and items by index.
        test: the test images, of which only the targets are kept before the end; a part of
            ``train`` if left out.
        validation: what is split off ``train``: a number, or a fraction in (0, 1).
        test_size: likewise for the test images, if ``test`` is left out.
        targets: "classes", or "values" to be predicted: numbers, or tensors, arrays or lists of
            numbers, all of one shape. Images with values are split at random, and a run of them
            needs a loss and a metric (:class:`spos.Task`).
        classes: a name for each class; ``train.classes`` or the numbers if left out.
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
    if targets not in TARGETS:
        raise UserError(f"targets {targets}: {nearest(targets, TARGETS)}")
    if targets == "values" and classes is not None:
        raise UserError("classes: targets='values' have none; give one of them")
    for dataset in (train, test):
        if isinstance(dataset, IterableDataset) or not (
            dataset is None or (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__"))
        ):
            raise UserError(
                f"dataset {type(dataset).__name__}: it has no items by index;"
                " allowed: a Dataset with __len__ and __getitem__"
            )
    items = DatasetPhotographs(train, "train", values=targets == "values")
    side = image_size or min(items.open(0, None).size)
    large = len(items) * items.channels * side * side > memory_limit
    streamed = stream == "always" or (stream == "auto" and large)
    labels, pixels = items.read(image_size, keep=not streamed)
    names = [] if items.values else _class_names(train, classes, int(labels.max()))
    images: Images = (
        StreamedImages(items, labels, side, workers) if streamed else TensorImages(pixels, labels)
    )
    notes = []
    if test is None:
        rest, part = split_targets(labels, test_size, 0, option="test_size", classes=names)
        notes.append(f"no test Dataset: {len(part)} of the {len(items)} images set apart as test")
        unread = StreamedImages(items, labels, side, workers, torch.from_numpy(part))
        images, _ = images.split_off(rest, [])
    else:
        others = DatasetPhotographs(test, "test", items.channels, values=items.values)
        test_labels, _ = others.read(side, keep=False)
        if test_labels.shape[1:] != labels.shape[1:]:
            raise UserError(
                f"test: targets of shape {list(test_labels.shape[1:])}, those of train have "
                f"{list(labels.shape[1:])}"
            )
        if not items.values and int(test_labels.max()) >= len(names):
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
        dataset: of (image, target).
        name: how an error calls it.
        channels: 1 or 3; as the first image if left out.
        values: whether the targets are values, not classes.

    Raises:
        UserError: the Dataset is empty, or its first item is not as it should be.
    """

    def __init__(
        self, dataset: Any, name: str, channels: int | None = None, *, values: bool = False
    ) -> None:
        self.dataset = dataset
        self.name = name
        self.values = values
        if len(dataset) == 0:
            needs = "images" if values else "images of at least 2 classes"
            raise UserError(f"{name}: the Dataset is empty; it needs {needs}")
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
            Targets, int64 [N] or float32 [N, ...], and pixels, uint8 [N or 0, C, S, S].
        """
        count, first = len(self), self.open(0, None).size
        side = image_size or min(first)
        first_target = self._item(0)[1]
        labels = torch.empty((count, *first_target.shape), dtype=first_target.dtype)
        shape = (count if keep else 0, self.channels, side, side)
        pixels = torch.empty(shape, dtype=torch.uint8)
        rows = pixels.numpy()
        for index in range(count):
            image, target = self._item(index)
            if target.shape != first_target.shape:
                raise UserError(
                    f"{self.name}, item {index}: a target of shape {list(target.shape)}, the first "
                    f"has {list(first_target.shape)}"
                )
            labels[index] = target
            if image_size is None and image.size != first:
                raise UserError(
                    f"{self.name}, item {index}: {image.width}x{image.height} pixels, the first"
                    f" has {first[0]}x{first[1]}; name the side to resize to: image_size={side}"
                )
            image = self._in_channels(image, index)
            if keep:
                rows[index] = to_array(fit(image, side))
        return labels, pixels

    def _item(self, index: int) -> tuple[Image.Image, Tensor]:
        item = self.dataset[index]
        where = f"{self.name}, item {index}"
        if not isinstance(item, (tuple, list)) or len(item) != 2:
            raise UserError(f"{where}: a {type(item).__name__}; allowed: (image, label)")
        if self.values:
            return to_image(item[0], where), to_values(item[1], where)
        return to_image(item[0], where), torch.tensor(to_label(item[1], where))

    def _in_channels(self, image: Image.Image, index: int) -> Image.Image:
        if self.channels == 3:
            return image.convert("RGB")
        if image.mode != "L":
            raise UserError(
                f"{self.name}, item {index}: an image in colour, but the first is grey;"
                " allowed: all grey, or a first one in colour"
            )
        return image
