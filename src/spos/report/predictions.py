"""The record of what the trained network says of the test images."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mistake:
    """A test image that was classified wrongly.

    Args:
        index (int): place of the image among the test images, from 0.
        true (int): its class.
        predicted (int): the class that the network gave it.
        probability (float): probability of the predicted class, in [0, 1].
        true_probability (float): probability of the true class, in [0, 1].
        image (str): the image, reduced, as a PNG file in Base64.
    """

    index: int
    true: int
    predicted: int
    probability: float
    true_probability: float
    image: str


@dataclass(frozen=True)
class Predictions:
    """The predictions of the network on the test images.

    Args:
        classes (tuple[str, ...]): names of the classes, in the order of their numbers.
        counts (tuple[tuple[int, int, int], ...]): true class, predicted class, and the number of
            images, where there are any.
        mistakes (tuple[Mistake, ...]): the worst-classified images, the lowest probability of the
            true class first.
    """

    classes: tuple[str, ...]
    counts: tuple[tuple[int, int, int], ...]
    mistakes: tuple[Mistake, ...]
