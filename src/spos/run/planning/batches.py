"""How many images a step of a planned training takes, and how many a training sees."""

from __future__ import annotations

from collections.abc import Callable

import torch

from spos.run.planning.preset import GROWTH
from spos.run.planning.speed import Speed

#: Images of a training for which the networks are chosen, for a data set of 1,000 images; they grow
#: with its size to the power of `GROWTH`.
IMAGES = 25_000
#: Largest batches of a network and of a supernet, before they grow.
NETWORK, SUPERNET = 64, 32
#: Share of a step that kernel launches may take on an accelerator before batches are doubled, and
#: by how much they grow at most.
WAITING, MOST_GROWTH = 0.25, 4


class BatchSizes:
    """Batch sizes for a number of images.

    Args:
        images (int): number of images to train on.

    Example:
        >>> few, many = BatchSizes(400), BatchSizes(50_000)
        >>> (few.supernet, few.network), (many.supernet, many.network)
        ((32, 32), (32, 64))
    """

    def __init__(self, images: int) -> None:
        self.images = images
        self.growth = 1

    @property
    def network(self) -> int:
        """Images of a step of a network's training."""
        if self.images < 32:
            return max(2, self.images // 2)
        least = NETWORK if self.images >= 1500 else 32 if self.images >= 300 else 16
        return least * self.growth

    @property
    def supernet(self) -> int:
        """Images of a step of a supernet's training."""
        return min(SUPERNET * self.growth, self.network)

    def grow(self, device: torch.device, speed: Speed, seconds: Callable[[int], float]) -> None:
        """Double the batches while kernel launches take much of a step on an accelerator.

        Args:
            device (torch.device): device of the training; on a CPU nothing grows.
            speed (Speed): its measured speed.
            seconds (Callable): function from a batch size to the time of a step of a network.
        """
        while (
            device.type != "cpu"
            and self.growth < MOST_GROWTH
            and 20 * self.network <= self.images
            and speed.training.fixed > WAITING * seconds(self.network)
        ):
            self.growth *= 2


def trained_images(count: int) -> float:
    """Images that a training of a data set of so many sees."""
    return float(IMAGES * max(count / 1000, 0.3) ** GROWTH)
