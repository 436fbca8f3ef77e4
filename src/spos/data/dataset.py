"""Any torch Dataset of (image, target) as a source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset

from spos._util.errors import UserError, explain, nearest
from spos.data.decode import to_array
from spos.data.images import ImageData, Images, TensorImages, digest
from spos.data.items import to_image, to_label, to_values
from spos.data.load import assemble
from spos.data.photograph import fit
from spos.data.reading import tell_read
from spos.data.source import DataOptions, Source
from spos.data.streamed import Photographs, StreamedImages

TARGETS = ("classes", "values")
"""What the targets of a Dataset can be."""
TWICE = 8
"""Items that are read twice, to find Datasets with random transforms."""


class SeveralSizesError(UserError):
    """The images of a Dataset differ in size, and there is no side to resize them to."""


def dataset_data(
    train: Dataset[Any],
    *,
    test: Dataset[Any] | None = None,
    test_size: int | float = 0.1,
    targets: str = "classes",
    classes: Sequence[str] | None = None,
    **options: Any,
) -> ImageData:
    """Images of a run from a Dataset of your own.

    Args:
        train (Dataset): training images, as for :func:`dataset_source`.
        test (Dataset | None): test images; None to split them off ``train``.
        test_size (int | float): size of the test set that is split off ``train``: a number of
            images, or a fraction in (0, 1).
        targets (str): ``"classes"`` or ``"values"``, as for :func:`dataset_source`.
        classes (Sequence[str] | None): name of each class, as for :func:`dataset_source`.
        options: the other fields of :class:`spos.data.DataOptions`.

    Raises:
        UserError: an argument is out of range, or an item is invalid.

    Example:
        >>> items = [(torch.full((1, 8, 8), n, dtype=torch.uint8), n % 2) for n in range(40)]
        >>> data = dataset_data(items, classes=["even", "odd"])
        >>> len(data.train), len(data.validation), len(data.test())
        (32, 4, 4)
    """
    checked = DataOptions(test=test_size, **options)
    source = dataset_source(train, checked, test=test, targets=targets, classes=classes)
    return assemble("dataset", "dataset", source, checked)


def dataset_source(
    train: Dataset[Any],
    options: DataOptions,
    *,
    test: Dataset[Any] | None = None,
    targets: str = "classes",
    classes: Sequence[str] | None = None,
) -> Source:
    """A source whose images are the items of a Dataset, all of which are read once now.

    Items are (image, target): a PIL image, a uint8 or float (0 to 1) tensor [C, H, W], or an array
    [H, W] or [H, W, C]; as target the class, an integer from 0, or values. Do not augment or
    normalise them: that is done later, to the image alone.

    Args:
        train (Dataset): training images; any object with a length and items by index.
        options (DataOptions): how the images are read.
        test (Dataset | None): test images; None to split them off ``train``.
        targets (str): ``"classes"``, or ``"values"`` to be predicted: numbers, or tensors, arrays
            or lists of numbers of one shape. A run on values needs a loss and a metric
            (:class:`spos.Task`).
        classes (Sequence[str] | None): name of each class; ``train.classes`` or numbers if None.

    Raises:
        UserError: an argument is out of range, or an item is invalid.
    """
    if targets not in TARGETS:
        raise UserError(f"targets {targets}: {nearest(targets, TARGETS)}")
    if targets == "values" and classes is not None:
        raise UserError("classes: targets='values' have none; give one of them")
    for dataset in (train,) if test is None else (train, test):
        indexed = hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")
        indexed = indexed and not isinstance(dataset, Mapping)
        if isinstance(dataset, IterableDataset) or not indexed:
            raise UserError(
                f"dataset {type(dataset).__name__}: has no items by index;"
                " allowed: a Dataset with __len__ and __getitem__"
            )
    values = targets == "values"
    items = _Items(train, "train", values)
    width, height = items.open(0, None).size
    side = options.image_size or min(width, height)
    notes = []
    if width != height and options.image_size is None:
        notes.append(f"images of {width}x{height} pixels: the middle {side}x{side}")
    streamed = options.streams(len(items), items.channels, side)
    images = items.read(options.image_size, streamed, options.workers)
    names = [] if values else _class_names(train, classes, images.labels)
    if test is None:
        return Source(images, names, notes=notes)
    others = _Items(test, "test", values, items.channels)
    test_images = others.read(side, streamed, options.workers)
    labels = test_images.labels
    if labels.shape[1:] != images.labels.shape[1:]:
        raise UserError(
            f"test: targets of shape {list(labels.shape[1:])}, those of train have shape "
            f"{list(images.labels.shape[1:])}"
        )
    if not values and int(labels.max()) >= len(names):
        raise UserError(f"test: label {int(labels.max())}; allowed: 0 to {len(names) - 1}")
    if not values:
        _check_same_classes(train, test, labels)
    return Source(images, names, test=test_images, notes=notes)


def _class_names(dataset: Any, classes: Sequence[str] | None, labels: Tensor) -> list[str]:
    if isinstance(classes, str):
        raise UserError(f"classes {classes!r:.80}: must be a list of names")
    largest = int(labels.max())
    own = _own_classes(dataset)
    if classes is None and len(own) > largest:
        classes = own
    most = max(1000, 10 * len(labels))
    # An output for each number would be absurd.
    if classes is None and largest >= most:
        raise UserError(
            f"train: label {largest} of {len(labels):,} images; allowed: below {most:,}, numbers "
            "of the classes from 0"
        )
    names = list(map(str, range(largest + 1) if classes is None else classes))
    if len(names) <= largest:
        raise UserError(
            f"classes: {len(names)} names for labels up to {largest};"
            f" nearest valid: {largest + 1} names"
        )
    (again, count), *_ = Counter(map(str, names)).most_common(1)
    # Those of a Dataset are as its authors have them: two of ImageNet are "crane".
    if classes is not own and count > 1:
        raise UserError(
            f"classes: {again!r:.80} is given {count} times; give each class a name of its own"
        )
    return names


def _check_same_classes(train: Any, test: Any, labels: Tensor) -> None:
    """Check that the labels of the test images mean the same classes as in training.

    A Dataset that numbers the folders it finds does so differently where a folder is missing.

    Raises:
        UserError: a label means another class.
    """
    if any(getattr(one, "target_transform", None) is not None for one in (train, test)):
        # The names are those of labels before the transform, which may be what makes them agree.
        return
    there, here = _own_classes(train), _own_classes(test)
    for label in sorted({*labels.tolist()}):
        if label < min(len(there), len(here)) and there[label] != here[label]:
            raise UserError(
                f"test: label {label} is the class {here[label]!r:.80}, in train it is "
                f"{there[label]!r:.80}; number the classes of both in the same way"
            )


def _own_classes(dataset: Any) -> Sequence[Any]:
    """The classes that a Dataset has itself; none if it names none."""
    own = getattr(dataset, "classes", None)
    return own if isinstance(own, (list, tuple)) else ()


class _Items(Photographs):
    """The images of a Dataset, all of the channels of the first."""

    def __init__(self, dataset: Any, name: str, values: bool, channels: int = 0) -> None:
        self.dataset, self.name, self.values = dataset, name, values
        if len(dataset) == 0:
            needs = "images" if values else "images of at least 2 classes"
            raise UserError(f"{name}: the Dataset is empty; it needs {needs}")
        # Not known before the first image is read, unless they are those of other images.
        self.channels = channels
        self.channels = len(self._item(0)[0].getbands())

    def __len__(self) -> int:
        return len(self.dataset)

    def open(self, index: int, shorter: int | None) -> Image.Image:
        return self._item(index)[0]

    def read(self, image_size: int | None, streamed: bool, workers: int) -> Images:
        """Read all items, to check them and to know their targets.

        Args:
            image_size (int | None): side to resize to; None to require that of the first image.
            streamed (bool): whether pixels are dropped now and read when they are needed.
            workers (int): processes that read streamed images.
        """
        self._check_same()
        first, target = self._item(0)
        side = image_size or min(first.size)
        labels = torch.empty((len(self), *target.shape), dtype=target.dtype)
        kept = 0 if streamed else len(self)
        pixels = torch.empty((kept, self.channels, side, side), dtype=torch.uint8)
        rows, self.digests = pixels.numpy(), np.empty(len(self), np.int64)
        for index in range(len(self)):
            image, labels[index] = self._item(index, tuple(target.shape))
            if image_size is None and image.size != first.size:
                raise SeveralSizesError(
                    f"{self.name}, item {index}: {image.width}x{image.height} pixels, the first has"
                    f" {first.width}x{first.height}; set the side to resize to: image_size={side}"
                )
            # As large as in the run: the bytes of a photograph of 12 megapixels take longer to
            # collect than to decode.
            fitted = to_array(fit(image, side))
            self.digests[index] = digest(fitted.tobytes())
            if not streamed:
                rows[index] = fitted
            tell_read(index + 1, len(self))
        if streamed:
            return StreamedImages(self, labels, side, workers)
        return TensorImages(pixels, labels, owned=True, digests=self.digests)

    def _check_same(self) -> None:
        """Check on the first items that they are the same each time.

        With the random transforms of a training set, test images would be distorted as well.
        """
        for index in range(min(len(self), TWICE)):
            (image, target), (again, other) = self._item(index), self._item(index)
            if image.tobytes() != again.tobytes() or not torch.equal(target, other):
                raise UserError(
                    f"{self.name}, item {index}: differs each time it is read; remove random "
                    "transforms from the Dataset: the run augments the training images itself"
                )

    def _item(self, index: int, shape: tuple[int, ...] | None = None) -> tuple[Image.Image, Tensor]:
        where = f"{self.name}, item {index}"
        try:
            item = self.dataset[index]
        # A Dataset of the user's own may raise anything, also hours after its first item.
        except Exception as error:
            if explain(error) is not None and not isinstance(error, OSError):
                raise
            reason = explain(error) or f"{type(error).__name__}: {' '.join(str(error).split())}"
            raise UserError(f"{where}: the Dataset cannot give it ({reason:.200})") from error
        if not isinstance(item, (tuple, list)) or len(item) != 2:
            raise UserError(f"{where}: {type(item).__name__}; allowed: (image, label)")
        image = to_image(item[0], where)
        if self.channels == 3:
            image = image if image.mode == "RGB" else image.convert("RGB")
        elif self.channels == 1 and image.mode != "L":
            raise UserError(
                f"{where}: an image in colour, but the first is grey;"
                " allowed: all grey, or a first one in colour"
            )
        target = to_values(item[1], where) if self.values else to_label(item[1], where)
        if shape is not None and target.shape != shape:
            raise UserError(
                f"{where}: a target of shape {list(target.shape)}, the first has {list(shape)}"
            )
        return image, target
