"""The number of activation patterns of an untrained network, as a score that needs no training."""

from __future__ import annotations

import math
import statistics
from typing import Any

import torch
from torch import Tensor

from spos._util.randomness import generator
from spos.nn.supernet import Supernet
from spos.search.activations import Untrained
from spos.space import Architecture

#: Units of a network for each pattern that could occur, as a power of two. With fewer, nearly every
#: unit has a pattern of its own, and the score counts units; with more, all patterns occur.
SPARSE = 3
#: Fewest and most images of a group.
SMALLEST, LARGEST = 4, 20
#: Random networks whose units are counted.
SAMPLE = 8


class Patterns(Untrained):
    """The number of sample-wise activation patterns (SWAP).

    A unit of an activation has a pattern over a group of images: for which of them its input is
    above 0. The score is the number of distinct patterns of all units, summed over groups of
    images. A group has so many images that there are about eight units of a network for each
    pattern that could occur; in the paper it is a batch of a fixed size.

    Args:
        supernet (Supernet): supernet with fresh weights, which nothing else uses; its active path
            and the statistics of its batch norms change.
        inputs (Tensor): a batch of training images on the device of the supernet.

    Attributes:
        images (int): images of a group.

    Raises:
        UserError: on evaluation, the network has no activation that tells images apart.

    Source: Peng et al., "SWAP-NAS: Sample-Wise Activation Patterns for Ultra-Fast NAS", ICLR 2024,
    Section 3.

    Example:
        >>> from torch import nn
        >>> from spos import OneOf
        >>> layer = OneOf({n: nn.Sequential(nn.Linear(4, int(n)), nn.ReLU()) for n in ("2", "64")})
        >>> inputs = torch.eye(4).repeat(2, 1) - 0.5
        >>> score = Patterns(Supernet(layer, input_shape=(4,)), inputs)
        >>> score(Architecture([0])) < score(Architecture([1]))
        True
    """

    setting = "search.patterns_weight"

    def __init__(self, supernet: Supernet, inputs: Any) -> None:
        super().__init__(supernet, inputs)
        random = generator(0, "patterns")
        sample = (supernet.space.sample(random) for _ in range(SAMPLE))
        units = statistics.median(map(self._count_units, sample))
        size = round(math.log2(max(units, 1.0))) - SPARSE
        self.images = min(max(size, SMALLEST), LARGEST, len(inputs))

    def score(self, architecture: Architecture) -> float | None:
        """Number of patterns; None without activations."""
        found: Tensor | None = None
        groups = len(self._inputs) // self.images

        def add(signs: Tensor) -> None:
            nonlocal found
            powers = torch.arange(self.images, dtype=torch.int32, device=signs.device)
            if found is None:
                found = signs.new_zeros(groups, 1 << self.images)
            grouped = signs[: groups * self.images].int().reshape(groups, self.images, -1)
            found.scatter_(1, (grouped << powers[:, None]).sum(1), value=True)

        self.read(architecture, add)
        return None if found is None else float(found.sum())

    def _count_units(self, architecture: Architecture) -> int:
        units = 0

        def add(signs: Tensor) -> None:
            nonlocal units
            units += signs.shape[1]

        self.read(architecture, add)
        return units
