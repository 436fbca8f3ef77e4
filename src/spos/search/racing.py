"""Racing: candidates that can no longer be among the best are not scored on all images.

All candidates are scored on the same validation images in the same order, so a candidate and the
k-th best one so far, its rival, are compared image by image.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from spos.space import Architecture

#: Shares of the images after which a candidate may be dropped.
LOOKS = (1 / 8, 1 / 4, 1 / 2)
#: Fewest images after which one may be: the mean of fewer differences may be far from normal.
FEWEST = 100

#: A function of outputs and targets to the score of each image; higher is better.
Each: TypeAlias = Callable[[Any, Tensor], Tensor]
Scores: TypeAlias = NDArray[np.float64]


def trails(differences: Scores, images: int, confidence: float, ahead: float = 0.0) -> bool:
    """Test whether a candidate scores less than its rival on all images, by some of them.

    A paired t-test of one side for images drawn without replacement. Its error is divided among the
    looks of a race.

    Args:
        differences (NDArray): score of the candidate less that of the rival, of each image seen.
        images (int): number of all images, at least those seen.
        confidence (float): probability with which a candidate that does not score less on all
            images passes all looks, at least 0.5 and below 1.
        ahead (float): what the candidate is ahead of its rival by scores that are not of images.

    Source: Maron and Moore, "Hoeffding Races", NIPS 1993; with the t-test of Birattari et al., "A
    Racing Algorithm for Configuring Metaheuristics", GECCO 2002.

    Example:
        >>> differences = np.tile([-1.0, 0.0, 0.0, 1.0, -1.0], 40)
        >>> trails(differences, 1000, 0.99), trails(differences, 1000, 0.99, ahead=0.2)
        (True, False)
    """
    # scipy takes half a second to import, and few searches race.
    from scipy.special import stdtrit

    seen = len(differences)
    quantile = float(stdtrit(seen - 1, 1 - (1 - confidence) / len(LOOKS)))
    error = float(np.std(differences, ddof=1)) * math.sqrt((1 - seen / images) / seen)
    return float(np.mean(differences)) + ahead + quantile * error < 0


@dataclass
class Race:
    """The race of candidates against one that was scored on all images.

    Args:
        confidence (float): see :func:`trails`.
        each (Each): function of outputs and targets to the score of each image.
        rival (NDArray): scores of the rival, of each image.
        ahead (Mapping[Architecture, float]): what candidates are ahead of the rival by scores that
            are not of images; 0 for those that are not among them.
        dropped (dict[Architecture, int]): images that a candidate was scored on, of those that
            were dropped.
    """

    confidence: float
    each: Each
    rival: Scores
    _: KW_ONLY
    ahead: Mapping[Architecture, float] = field(default_factory=dict)
    dropped: dict[Architecture, int] = field(default_factory=dict)

    @property
    def images(self) -> int:
        """Number of all images."""
        return len(self.rival)

    def enter(self, architecture: Architecture) -> Callable[[Any, Tensor], bool]:
        """Enter a candidate.

        Args:
            architecture (Architecture): the candidate.

        Returns:
            A function of the outputs and targets of the next batch to whether the candidate is
            dropped.

        Example:
            >>> import torch
            >>> race = Race(0.99, lambda outputs, targets: outputs[:, 0], np.ones(1000))
            >>> dropped = race.enter(Architecture([0]))
            >>> dropped(torch.randn(100, 1), None), dropped(torch.randn(100, 1), None)
            (False, True)
            >>> race.dropped
            {Architecture(0): 200}
        """
        looks = [share * self.images for share in LOOKS]
        found: list[Scores] = []

        def is_dropped(outputs: Any, targets: Tensor) -> bool:
            found.append(self.each(outputs, targets).double().cpu().numpy())
            seen = sum(map(len, found))
            reached = sum(look <= seen for look in looks)
            del looks[:reached]
            if not reached or not FEWEST <= seen < self.images:
                return False
            differences = np.concatenate(found) - self.rival[:seen]
            ahead = self.ahead.get(architecture, 0.0)
            if not trails(differences, self.images, self.confidence, ahead):
                return False
            self.dropped[architecture] = seen
            return True

        return is_dropped
