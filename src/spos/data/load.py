"""From the name of a source to the data of a run: split, statistics, fingerprint."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from spos._util.errors import UserError
from spos._util.randomness import generator
from spos._util.text import first_few, printable
from spos.data.images import ImageData, Images, Indices, TensorImages, digest
from spos.data.source import DataOptions, Source, find_source, named_in_errors
from spos.data.split import split_targets

COMPARED = 256
"""Images of each set by which a source is recognised that streams them and has no digests."""
STATISTICS_SAMPLE = 1000
"""Streamed training images from which mean and standard deviation are estimated."""


def load_data(spec: str, **options: Any) -> ImageData:
    """Load the images of a source.

    - ``digits``: 1,797 grey images of 8x8 pixels from scikit-learn.
    - ``folder:PATH``: a folder or a .zip of one, with one folder per class, in train/ and
      optionally val/ and test/ or by themselves. test/ is the test set; without it val/ is, as on
      ImageNet; with both, val/ is the validation set; with neither, ``test`` is split off.
    - ``fashion-mnist`` or ``fashion-mnist:PATH``: the IDX files; without PATH those of Debian's
      package dataset-fashion-mnist.
    - ``cifar10:PATH``, ``cifar100:PATH``: the binary version, its folder or its .tar.gz.
    - ``hf:NAME``: a data set of Hugging Face, saved to disk or on the hub.
    - ``torchvision:NAME:PATH``: a class of torchvision.datasets.
    - ``webdataset:FOLDER`` or ``webdataset:PATTERN``: tar shards.
    - any other name in :data:`spos.data.SOURCES`: a plug-in, or registered by a script.

    Args:
        spec (str): source, as ``NAME`` or ``NAME:ARGUMENT``.
        options: fields of :class:`spos.data.DataOptions`.

    Raises:
        UserError: an option is out of range, or the data is missing or damaged.

    Example:
        >>> data = load_data("digits")
        >>> len(data.train), len(data.validation), len(data.test()), data.image_size
        (1294, 144, 359, 8)
    """
    name, _, argument = spec.partition(":")
    checked = DataOptions(**options)
    with named_in_errors(spec):
        source = find_source(spec)(argument, checked)
    return assemble(spec, name, source, checked)


def assemble(spec: str, name: str, source: Source, options: DataOptions) -> ImageData:
    """Split off validation and test set, measure the training images, take the fingerprint.

    Raises:
        UserError: the training images cannot be split like this, or are of one class.
    """
    classes, notes = source.classes, list(source.notes)
    train, test = source.train, source.test
    labels = train.labels
    if not labels.is_floating_point() and int(labels.min()) == int(labels.max()):
        raise UserError(
            f"--data {spec}: only one class ('{classes[int(labels[0])]}'); a classifier needs at "
            "least 2"
        )
    if test is None:
        rest, part = split_targets(labels, options.test, 0, option="test", classes=classes)
        notes.append(f"no test set: {len(part)} of the {len(labels)} training images held out")
        train, test = train.split_off(rest, part)
    elif options.test != DataOptions().test:
        notes.append(f"data.test {options.test}: without effect, the source has a test set")
    if options.workers and isinstance(train, TensorImages):
        notes.append(f"data.workers {options.workers}: without effect, the images are in memory")
    counts = f"{len(train)} {len(test)}"
    facts = [name, str(train.channels), str(train.image_size), counts, *classes]
    fingerprint = hashlib.sha256(_encode("\0".join(facts)))
    for images in (train, test):
        fingerprint.update(_content(images) + images.labels.numpy().tobytes())
    if source.validation is None:
        rest, part = split_targets(train.labels, options.validation, options.seed, classes=classes)
        fingerprint.update(part.tobytes())
        train, validation = train.split_off(rest, part)
    else:
        if options.validation != DataOptions().validation:
            notes.append(
                f"data.validation {options.validation}: without effect, the source has a "
                "validation set"
            )
        validation = source.validation
        fingerprint.update(_content(validation) + validation.labels.numpy().tobytes())
    notes += duplicates(train, validation, test)
    notes += without_images(train, validation, test, classes) + alike(classes)
    mean, deviation = statistics(train)
    return ImageData(
        source=printable(spec),
        train=train,
        validation=validation,
        test=partial(_as_given, test),
        classes=tuple(map(printable, classes)),
        channels=train.channels,
        image_size=train.image_size,
        mean=mean,
        std=deviation,
        skipped=tuple(map(printable, source.skipped)),
        notes=tuple(map(printable, notes)),
        fingerprint=fingerprint.hexdigest()[:16],
    )


def _encode(text: str) -> bytes:
    try:
        # The bytes of names of folders, whatever they are.
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        # Half a character, which labels in JSON may have.
        return text.encode("utf-8", "surrogatepass")


def _content(images: Images) -> bytes:
    digests = images.digests()
    if not digests:
        # All images of a source that does not know them would have to be read once more.
        places = np.linspace(0, len(images) - 1, min(len(images), COMPARED)).astype(int)
        digests = [digest(image.tobytes()) for image in images.pixels(places).cpu().numpy()]
    return np.array(digests, np.int64).tobytes()


def duplicates(train: Images, validation: Images, test: Images) -> list[str]:
    """Say how many images are the same in two sets: they make a network look better than it is.

    Example:
        >>> images = TensorImages(torch.zeros(3, 1, 1, 1, dtype=torch.uint8), torch.arange(3))
        >>> others = TensorImages(torch.ones(3, 1, 1, 1, dtype=torch.uint8), torch.arange(3))
        >>> duplicates(images, others, images.subset([0]))
        ['1 of the 1 test images are equal to training or validation images']
    """
    known = set(train.digests())
    notes = []
    for name, images, others in (
        ("validation", validation, "training"),
        ("test", test, "training or validation"),
    ):
        numbers = images.digests()
        count = sum(number in known for number in numbers)
        if count:
            notes.append(
                f"{count:,} of the {len(numbers):,} {name} images are equal to {others} images"
            )
        known.update(numbers)
    return notes


def without_images(
    train: Images, validation: Images, test: Images, classes: Sequence[str]
) -> list[str]:
    """Name the classes of which a set has no image: its scores say nothing of them.

    Labels from 1 leave class 0 to none.

    Example:
        >>> images = TensorImages(torch.zeros(2, 1, 1, 1, dtype=torch.uint8), torch.tensor([1, 2]))
        >>> for note in without_images(images, images, images.subset([0]), ["0", "1", "2"]):
        ...     print(note)
        no training image of class 0, 1 of 3 classes
        no test image of class 2, 1 of 3 classes
    """
    notes, told = [], set[int]()
    for kind, images in (("training", train), ("validation", validation), ("test", test)):
        seen = told | ({*images.labels.tolist()} if classes else set())
        empty = [name for label, name in enumerate(classes) if label not in seen]
        if kind == "training":
            told = {*range(len(classes))} - seen
        if empty:
            named = ", ".join(empty[:3]) + ", ..." * (len(empty) > 3)
            which = f"class {named}, {len(empty):,} of {len(classes):,} classes"
            notes.append(f"no {kind} image of {which}")
    return notes


def alike(classes: Sequence[str]) -> list[str]:
    """Name classes that a reader would take for the same one, as of folders from two systems.

    Example:
        >>> alike(["cat", "Dog", "dog"]), alike(["cat", "dog"])
        (["class names that look alike but are different classes: 'Dog' and 'dog'"], [])
    """
    groups: dict[str, list[str]] = {}
    for name in classes:
        # Letters with accents are one character or two; format characters have no width.
        seen = unicodedata.normalize("NFKC", printable(name)).casefold()
        shown = "".join(one for one in seen if unicodedata.category(one) != "Cf")
        groups.setdefault(" ".join(shown.split()), []).append(f"'{name}'")
    found = [" and ".join(group) for group in groups.values() if len(group) > 1]
    if not found:
        return []
    return [f"class names that look alike but are different classes: {first_few(found)}"]


def statistics(images: Images) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel, on the scale 0 to 1.

    Exact for images in memory; estimated from up to 1,000 fixed images for streamed ones. A
    constant channel gets a standard deviation of 1, so that dividing by it is harmless.

    Example:
        >>> pixels = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1)
        >>> statistics(TensorImages(pixels, torch.zeros(2, dtype=torch.int64)))
        ((0.5,), (0.5,))
    """
    count = len(images)
    chosen: Indices = range(count)
    if not isinstance(images, TensorImages) and count > STATISTICS_SAMPLE:
        random = generator(0, "statistics")
        chosen = np.sort(random.choice(count, STATISTICS_SAMPLE, replace=False))
    sums = torch.zeros(2, images.channels, dtype=torch.int64)
    for begin in range(0, len(chosen), 500):
        chunk = images.pixels(chosen[begin : begin + 500]).to(torch.int32)
        sums += torch.stack([chunk.sum((0, 2, 3)), chunk.square_().sum((0, 2, 3))])
    mean, squares = sums.double() / (len(chosen) * images.image_size**2)
    deviation = (squares - mean.square()).clamp_min(0).sqrt()
    deviation[deviation < 1e-6] = 255
    return tuple((mean / 255).tolist()), tuple((deviation / 255).tolist())


def _as_given(images: Images) -> Images:
    # A function of the module, so that the images can be sent to other processes.
    return images
