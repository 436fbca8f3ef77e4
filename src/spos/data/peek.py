"""What the images of a source are like, without decoding all of them."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from spos._util.errors import UserError
from spos.data.source import DataOptions, find_source, named_in_errors


@dataclass(frozen=True)
class ImageFacts:
    """What a plan depends on.

    Args:
        count (int): training images, before any are split off.
        classes (int): number of classes; 0 where targets are values.
        side (int): median of the shorter sides, in pixels.
        channels (int): 3 for colour, 1 for grey.
        grey (bool): whether the images have no colour, whatever their channels.
        has_validation (bool): whether the source has a validation set of its own.
        has_test (bool): whether the source has a test set of its own.
        smallest (tuple[str, int] | None): class with the fewest training images, and their number;
            None if that is not known.
        cut (float): share of an image that is lost when a square is cut from its middle, median.
        reading (float): expected seconds until all images are read; 0 if they are in memory.
        decoding (float): seconds in which one core decodes one of them; 0 if they are in memory.
    """

    count: int
    classes: int
    side: int
    channels: int
    grey: bool
    has_validation: bool
    has_test: bool
    smallest: tuple[str, int] | None = None
    cut: float = 0.0
    reading: float = 0.0
    decoding: float = 0.0

    def check(self, spec: str) -> None:
        """Refuse images of a single class.

        Args:
            spec (str): source of the images, for the error.
        """
        if self.classes == 1:
            raise UserError(f"--data {spec}: only one class; a classifier needs at least 2")


def peek(spec: str) -> ImageFacts:
    """Look at the images of a source: a sample of its files, or all that is held in memory.

    Args:
        spec (str): source, as ``NAME`` or ``NAME:ARGUMENT``.

    Raises:
        UserError: the data is missing or damaged.

    Example:
        >>> facts = peek("digits")
        >>> facts.count, facts.classes, facts.side, facts.grey
        (1438, 10, 8, True)
    """
    argument = spec.partition(":")[2]
    with named_in_errors(spec):
        found = find_source(spec)
        look = getattr(found, "look", None)
        if look is not None:
            facts: ImageFacts = look(argument)
            return facts
        source = found(argument, DataOptions())
    sample = source.train.pixels(range(min(len(source.train), 200)))
    return ImageFacts(
        count=len(source.train),
        classes=len(source.classes),
        side=source.train.image_size,
        channels=source.train.channels,
        grey=is_grey(sample),
        has_validation=source.validation is not None,
        has_test=source.test is not None,
    )


def is_grey(pixels: torch.Tensor) -> bool:
    """Whether images have equal channels, shape (N, C, H, W).

    Example:
        >>> is_grey(torch.zeros(2, 3, 4, 4)), is_grey(torch.rand(2, 3, 4, 4))
        (True, False)
    """
    return bool((pixels == pixels[:, :1]).all())
