"""Images with their targets, in memory or decoded when they are needed, and those of a run."""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from spos._util.errors import UserError

Indices: TypeAlias = "Tensor | np.ndarray | Sequence[int]"

ROWS_MOVED = 4096
"""Images moved at a time when a subset is compacted in place."""


def as_indices(indices: Indices) -> Tensor:
    """Indices in any form as an int64 tensor on the CPU.

    Example:
        >>> as_indices([2, 0])
        tensor([2, 0])
    """
    return torch.as_tensor(indices, dtype=torch.int64, device="cpu").reshape(-1)


def digest(content: bytes) -> int:
    """A number of 64 bits that tells contents apart.

    Example:
        >>> digest(b"an image") == digest(b"another")
        False
    """
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "big", signed=True)


class Images(ABC):
    """A fixed sequence of square images of one size, each with its target.

    Attributes:
        labels (Tensor): target of each image: classes, int64, shape (N,), or values, float32,
            shape (N, ...).
        channels (int): 1 or 3.
        image_size (int): side in pixels.
    """

    labels: Tensor
    channels: int
    image_size: int

    @abstractmethod
    def pixels(self, indices: Indices) -> Tensor:
        """Images as evaluation sees them: uint8, shape (n, C, S, S).

        Args:
            indices (Tensor | numpy.ndarray | Sequence[int]): positions of the images, from 0.
        """

    @abstractmethod
    def subset(self, indices: Indices) -> Images:
        """Some of these images, in another order.

        Args:
            indices (Tensor | numpy.ndarray | Sequence[int]): positions of the images, from 0.
        """

    @abstractmethod
    def join(self, other: Images) -> Images:
        """These images followed by others of the same source.

        Args:
            other (Images): the others.

        Raises:
            ValueError: the others are of another source.
        """

    @abstractmethod
    def to(self, device: torch.device | str) -> Images:
        """The same images on a device; streamed images stay where they are.

        Args:
            device (torch.device | str): device to hold them.
        """

    def digests(self) -> Sequence[int]:
        """A number for each image, the same for equal images everywhere; none if unknown."""
        return ()

    def split_off(self, rest: Indices, part: Indices) -> tuple[Images, Images]:
        """Two subsets. These images may be empty afterwards, because their memory is reused.

        Args:
            rest (Tensor | numpy.ndarray | Sequence[int]): positions of the images of the first.
            part (Tensor | numpy.ndarray | Sequence[int]): positions of those of the second.
        """
        return self.subset(rest), self.subset(part)

    def __len__(self) -> int:
        return len(self.labels)


class TensorImages(Images):
    """Images held in memory, on any device.

    Args:
        images (Tensor): uint8, shape (N, C, S, S).
        labels (Tensor): int64, shape (N,), or float32, shape (N, ...), on the same device.
        owned (bool): whether nothing else uses the memory of the images, so that splitting them may
            rearrange it.
        digests (Sequence[int]): the :func:`digest` of the file of each image; empty for those of
            the pixels.

    Raises:
        UserError: shapes or types differ from these.

    Example:
        >>> images = TensorImages(torch.zeros(3, 1, 8, 8, dtype=torch.uint8), torch.arange(3))
        >>> images.subset([2, 0]).labels
        tensor([2, 0])
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        *,
        owned: bool = False,
        digests: npt.ArrayLike = (),
    ) -> None:
        if images.dtype != torch.uint8 or images.dim() != 4 or images.shape[2] != images.shape[3]:
            raise UserError(
                f"images of {images.dtype}, shape {list(images.shape)}; allowed: uint8 [N, C, S, S]"
            )
        classes = labels.dtype == torch.int64 and labels.dim() == 1
        if not (classes or labels.dtype == torch.float32) or labels.shape[:1] != images.shape[:1]:
            raise UserError(
                f"labels of {labels.dtype}, shape {list(labels.shape)}; allowed: int64 "
                f"[{len(images)}], or float32 [{len(images)}, ...]"
            )
        self.images = images
        self.labels = labels
        self.owned = owned
        self._digests = np.asarray(digests, np.int64)
        self.channels, self.image_size = images.shape[1:3]

    def pixels(self, indices: Indices) -> Tensor:
        return self.images[as_indices(indices).to(self.images.device)]

    def digests(self) -> list[int]:
        if len(self._digests):
            return list(map(int, self._digests))
        return [digest(image.tobytes()) for image in self.images.cpu().numpy()]

    def _digests_at(self, at: Tensor) -> npt.NDArray[np.int64]:
        return self._digests[at.cpu().numpy()] if len(self._digests) else self._digests

    def subset(self, indices: Indices) -> TensorImages:
        at = as_indices(indices).to(self.images.device)
        digests = self._digests_at(at)
        return TensorImages(self.images[at], self.labels[at], owned=True, digests=digests)

    def join(self, other: Images) -> TensorImages:
        if not isinstance(other, TensorImages) or other.images.shape[1:] != self.images.shape[1:]:
            raise ValueError("only images of one source can be joined")
        known = len(self._digests) and len(other._digests)
        return TensorImages(
            torch.cat((self.images, other.images)),
            torch.cat((self.labels, other.labels)),
            digests=np.concatenate((self._digests, other._digests)) if known else (),
        )

    def to(self, device: torch.device | str) -> TensorImages:
        images, labels = self.images.to(device), self.labels.to(device)
        return TensorImages(images, labels, digests=self._digests)

    def split_off(self, rest: Indices, part: Indices) -> tuple[TensorImages, TensorImages]:
        kept = as_indices(rest)
        if not self.owned or bool((kept.diff() <= 0).any()):
            return self.subset(rest), self.subset(part)
        taken = self.subset(part)
        # A copy of the larger side would need twice the memory that the user allowed. Ascending
        # indices only ever move a row forward, so a chunk never overwrites a row still to be read.
        for begin in range(0, len(kept), ROWS_MOVED):
            chunk = kept[begin : begin + ROWS_MOVED]
            self.images[begin : begin + len(chunk)] = self.images[chunk.to(self.images.device)]
        labels = self.labels[kept.to(self.labels.device)]
        digests = self._digests_at(kept)
        rearranged = TensorImages(self.images[: len(kept)], labels, owned=True, digests=digests)
        # Whoever still holds these images must not see them under wrong labels.
        self.images, self.labels = self.images[:0], self.labels[:0]
        self._digests = self._digests[:0]
        return rearranged, taken


@dataclass(frozen=True)
class ImageData:
    """Images for training, for the search and for the final test.

    Args:
        source (str): source as given, such as ``"digits"`` or ``"folder:flowers.zip"``;
            ``"dataset"`` for a Dataset.
        train (Images): training images without those of the validation set.
        validation (Images): images on which the search compares candidates.
        test (Callable[[], Images]): returns the test images; call it once, at the very end.
        classes (tuple[str, ...]): name of each class in the order of the labels, safe to print;
            empty where targets are values.
        channels (int): 1 or 3.
        image_size (int): side of the square images in pixels.
        mean (tuple[float, ...]): mean of each channel over ``train``, on the scale 0 to 1.
        std (tuple[float, ...]): standard deviation of each channel, above 0.
        skipped (tuple[str, ...]): broken files that were left out, each with the reason.
        notes (tuple[str, ...]): decisions made for the user, one line each.
        fingerprint (str): 16 hexadecimal digits that change with the source's name, the classes,
            labels, images, image size or split; a resumed run compares them.
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
