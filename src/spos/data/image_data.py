"""What a run needs of its images: three sets, and facts for the network and for resuming."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from spos.data.images import Images


@dataclass(frozen=True)
class ImageData:
    """Images for training, for the search and for the final test.

    Args:
        source (str): source as given, such as ``"digits"`` or ``"folder:flowers.zip"``;
            ``"dataset"`` for a Dataset.
        train (Images): training images without those of the validation set.
        validation (Images): images on which the search compares candidates.
        test (Callable[[], Images]): returns the test images; call it once, at the very end.
        classes (tuple[str, ...]): name of each class in the order of the labels; empty where
            targets are values.
        channels (int): 1 or 3.
        image_size (int): side of the square images in pixels.
        mean (tuple[float, ...]): mean of each channel over ``train``, on the scale 0 to 1.
        std (tuple[float, ...]): standard deviation of each channel, above 0.
        skipped (tuple[str, ...]): broken files that were left out, each with the reason.
        notes (tuple[str, ...]): decisions made for the user, one line each.
        fingerprint (str): 16 hexadecimal digits that change with the source's name, the classes,
            labels, file names, image size or split; a resumed run compares them.
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
        """Outputs of a network for these images: number of classes, or of values of a target."""
        return len(self.classes) or math.prod(self.train.labels.shape[1:])

    def facts(self) -> dict[str, Any]:
        """What a run stores about its images."""
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
