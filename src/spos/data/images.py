"""Images with their targets: held as one tensor, or decoded when they are needed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

Indices: TypeAlias = "Tensor | np.ndarray | Sequence[int]"


def as_indices(indices: Indices) -> Tensor:
    """Indices in any form as an int64 tensor on the CPU.

    Example:
        >>> as_indices([2, 0])
        tensor([2, 0])
    """
    return torch.as_tensor(indices, dtype=torch.int64, device="cpu").reshape(-1)


class Images(ABC):
    """A fixed sequence of square images of one size, each with its target.

    That is the index of its class, or values to be predicted: a number or a tensor of any shape.
    """

    @property
    @abstractmethod
    def labels(self) -> Tensor:
        """The target of each image, at hand without decoding anything.

        Classes are int64 [N], values are float32 [N, ...].
        """

    @abstractmethod
    def pixels(self, indices: Indices) -> Tensor:
        """The images at these places, as evaluation sees them: uint8 [n, C, S, S]."""

    @abstractmethod
    def subset(self, indices: Indices) -> Images:
        """The images at these places, in this order."""

    @abstractmethod
    def join(self, other: Images) -> Images:
        """These images and then others of the same source.

        Raises:
            ValueError: the others are of another source.
        """

    @abstractmethod
    def to(self, device: torch.device | str) -> Images:
        """The same images on a device; streamed images stay where they are read."""

    def split_off(self, rest: Indices, part: Indices) -> tuple[Images, Images]:
        """Two subsets; these images must not be used afterwards (their memory may be reused)."""
        return self.subset(rest), self.subset(part)

    def __len__(self) -> int:
        return len(self.labels)


class TensorImages(Images):
    """Images held in memory, on any device.

    Args:
        images: uint8 [N, C, S, S].
        labels: int64 [N], or float32 [N, ...], on the same device.

    Raises:
        ValueError: the shapes or types are others.

    Example:
        >>> images = TensorImages(torch.zeros(3, 1, 8, 8, dtype=torch.uint8), torch.arange(3))
        >>> images.subset([2, 0]).labels
        tensor([2, 0])
    """

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        if images.dtype != torch.uint8 or images.dim() != 4 or images.shape[2] != images.shape[3]:
            raise ValueError(
                f"images are {images.dtype} {list(images.shape)}; allowed: uint8 [N, C, S, S]"
            )
        classes = labels.dtype == torch.int64 and labels.dim() == 1
        if not (classes or labels.dtype == torch.float32) or labels.shape[:1] != images.shape[:1]:
            raise ValueError(
                f"labels are {labels.dtype} {list(labels.shape)}; allowed: int64 [{len(images)}], "
                f"or float32 [{len(images)}, ...]"
            )
        self.images = images
        self._labels = labels

    @property
    def labels(self) -> Tensor:
        return self._labels

    def pixels(self, indices: Indices) -> Tensor:
        return self.images[as_indices(indices).to(self.images.device)]

    def subset(self, indices: Indices) -> TensorImages:
        at = as_indices(indices).to(self.images.device)
        return TensorImages(self.images[at], self._labels[at])

    def join(self, other: Images) -> TensorImages:
        if not isinstance(other, TensorImages) or other.images.shape[1:] != self.images.shape[1:]:
            raise ValueError("only images of one source can be joined")
        return TensorImages(
            torch.cat((self.images, other.images)), torch.cat((self._labels, other._labels))
        )

    def to(self, device: torch.device | str) -> TensorImages:
        return TensorImages(self.images.to(device), self._labels.to(device))

    def split_off(self, rest: Indices, part: Indices) -> tuple[TensorImages, TensorImages]:
        kept = as_indices(rest)
        if bool((kept.diff() <= 0).any()):
            return self.subset(rest), self.subset(part)
        taken = self.subset(part)
        # A copy of the larger side would need twice the memory that the user allowed. Ascending
        # indices only ever move a row forward, so a chunk never overwrites a row still to be read.
        for begin in range(0, len(kept), 4096):
            chunk = kept[begin : begin + 4096]
            self.images[begin : begin + len(chunk)] = self.images[chunk.to(self.images.device)]
        labels = self._labels[kept.to(self._labels.device)]
        return TensorImages(self.images[: len(kept)], labels), taken
