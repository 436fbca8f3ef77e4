"""Scores that need no training, added to the one-shot scores of networks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import TypeAlias

import numpy as np

from spos._util.randomness import generator
from spos.space import Architecture, SearchSpace

#: Random architectures over which the spread of scores is measured.
SAMPLE = 32

#: A function of architectures to pairs of architecture and score, in any order.
Evaluate: TypeAlias = Callable[[Sequence[Architecture]], Iterable[tuple[Architecture, float]]]
#: A score of an architecture; higher is better.
Score: TypeAlias = Callable[[Architecture], float]


class WithTrainingFree:
    """An evaluation to whose scores others are added, which need no training.

    Each adds its weight in standard deviations of the one-shot scores for each standard deviation
    of its own, both over random architectures of the space.

    Args:
        evaluate (Callable): function of architectures to pairs of architecture and score.
        space (SearchSpace): space of the architectures.
        scores (Sequence): functions of an architecture to a score, such as
            :class:`spos.search.naswot.Naswot`, each with its weight, above 0.

    Example:
        >>> from spos import Choice
        >>> space = SearchSpace([Choice("first", ("a", "b")), Choice("second", ("a", "b"))])
        >>> def evaluate(found):
        ...     return [(one, float(one[0])) for one in found]
        >>> both = WithTrainingFree(evaluate, space, [(lambda one: float(one[1]), 0.5)])
        >>> found = dict(both([Architecture([0, 0]), Architecture([0, 1])]))
        >>> found[Architecture([0, 0])] < 0 < found[Architecture([0, 1])]
        True
    """

    def __init__(
        self, evaluate: Evaluate, space: SearchSpace, scores: Sequence[tuple[Score, float]]
    ) -> None:
        self._evaluate = evaluate
        self._space = space
        self._scores = scores

    def __call__(
        self, architectures: Sequence[Architecture]
    ) -> Iterator[tuple[Architecture, float]]:
        """Evaluate architectures.

        Returns:
            Each distinct architecture with its score, in any order.
        """
        # Known before the loop: an evaluation must not begin within another of the same supernet.
        scales = self.scales
        for architecture, total in self._evaluate(architectures):
            for (score, _), (factor, middle) in zip(self._scores, scales, strict=True):
                total += factor * (score(architecture) - middle)
            yield architecture, total

    @cached_property
    def scales(self) -> list[tuple[float, float]]:
        """Factor and mean of each score: it adds the factor times its distance from the mean."""
        random = generator(0, "training-free")
        sample = [self._space.sample(random) for _ in range(SAMPLE)]
        # In a fixed order, on which the last digit of a sum depends.
        found = dict(sorted(self._evaluate(sample)))
        spread = float(np.std(list(found.values())))
        scales = []
        for score, weight in self._scores:
            own = np.array([score(one) for one in found])
            # Where the sample is equal by chance, no scale is known.
            scales.append((weight * spread / (float(own.std()) or np.inf), float(own.mean())))
        return scales
