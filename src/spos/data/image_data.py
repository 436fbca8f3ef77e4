"""What a data source gives: the images split in three, and what the network needs to know."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from spos.data.images import Images


@dataclass(frozen=True)
class ImageData:
    """Images for training, for the search, and for the final test.

    Attributes:
        source: what was asked for, as "digits" or "folder:flowers.zip"; "dataset" for a Dataset.
        train: the training images, without those of the validation set.
        validation: split off the training images; the search compares candidates on it.
        test: reads the test images; to be called once, at the very end.
        classes: the name of each class, in the order of the labels; none where the targets are
            values.
        channels: 1 or 3.
        image_size: the side of the square images in pixels, after resizing.
        mean: of each channel over ``train``, on the scale 0..1.
        std: the standard deviation, likewise; never 0.
        skipped: broken files that were left out, each with the reason.
        notes: decisions that were taken for the user, each one line.
        fingerprint: 16 hexadecimal digits that change when the source kind, the classes, the
            labels, the names of the files, the image size, or the split change: lets a resumed
            run notice that its data is not what it was.
    """

    source: str
    train: Images
    validation: Images
    test: Callable[[], Images]
    classes: tuple[str, ...]
    channels: int
    image_size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    skipped: tuple[str, ...]
    notes: tuple[str, ...]
    fingerprint: str

    @property
    def outputs(self) -> int:
        """How many numbers a network says of an image: classes, or the values of a target."""
        return len(self.classes) or math.prod(self.train.labels.shape[1:])

    def facts(self) -> dict[str, Any]:
        """What is written down of the images with a run."""
        return {
            "source": self.source,
            "classes": list(self.classes),
            "outputs": self.outputs,
            "image_size": self.image_size,
            "channels": self.channels,
            "train": len(self.train),
            "validation": len(self.validation),
            "skipped": list(self.skipped),
            "notes": list(self.notes),
            "fingerprint": self.fingerprint,
        }
