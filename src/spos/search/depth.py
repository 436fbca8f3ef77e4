"""The depth of a network as a score that needs no training, added to its one-shot score."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from torch import nn

from spos._util.errors import UserError
from spos._util.randomness import generator
from spos.nn.one_of import OneOf
from spos.nn.supernet import Supernet
from spos.space import Architecture

#: Random architectures over which the spread of scores and of depths is measured.
SAMPLE = 32

Scores = Iterator[tuple[Architecture, float]]


def option_depths(supernet: Supernet) -> list[NDArray[np.float64]]:
    """Compute how deep each option of each choice is, beside the other options of the choice.

    The depth of a module is its number of layers with weights, such as convolutions.

    Returns:
        One array per choice, shape (options,): 0 for the shallowest option and 1 for the deepest,
        0 for all if they are equally deep, as sizes are.

    Example:
        >>> layer = OneOf({"skip": nn.Identity(), "convolution": nn.Conv2d(3, 3, 1)})
        >>> option_depths(Supernet(layer, input_shape=(3, 8, 8)))
        [array([0., 1.])]
    """
    counts = {choice.name: np.zeros(len(choice.options)) for choice in supernet.space.choices}
    for module in supernet.modules():
        if isinstance(module, OneOf) and module.choice_name is not None:
            counts[module.choice_name] += [_count_layers(option) for option in module.options]
    return [(one - one.min()) / (np.ptp(one) or 1.0) for one in counts.values()]


def _count_layers(module: nn.Module) -> int:
    return sum(
        any(weight.dim() > 1 for weight in one.parameters(recurse=False))
        for one in module.modules()
    )


class WithDepth:
    """An evaluation whose scores are raised for deep networks and lowered for shallow ones.

    The correction is ``weight`` times the standard deviation of the scores for each standard
    deviation of the depth, both over random architectures of the space. One-shot scores undervalue
    deep networks: each of their layers was trained in a fraction of the steps.

    Args:
        evaluate (Callable): function of architectures to pairs of architecture and score.
        supernet (Supernet): supernet of the space.
        weight (float): weight of the depth, above 0.

    Raises:
        UserError: all networks of the space are equally deep.

    Example:
        >>> options = lambda: {"skip": nn.Identity(), "convolution": nn.Conv2d(3, 3, 1)}
        >>> layers = nn.Sequential(OneOf(options()), OneOf(options()))
        >>> supernet = Supernet(layers, input_shape=(3, 8, 8))
        >>> scores = {Architecture([0, 0]): 0.5, Architecture([1, 0]): 0.5}
        >>> scores |= {Architecture([0, 1]): 0.7, Architecture([1, 1]): 0.6}
        >>> evaluate = WithDepth(lambda found: [(one, scores[one]) for one in found], supernet, 0.5)
        >>> found = dict(evaluate([Architecture([0, 0]), Architecture([1, 1])]))
        >>> found[Architecture([0, 0])] < 0.5, found[Architecture([1, 1])] > 0.6
        (True, True)
    """

    def __init__(
        self,
        evaluate: Callable[[Sequence[Architecture]], Iterable[tuple[Architecture, float]]],
        supernet: Supernet,
        weight: float,
    ) -> None:
        self._evaluate = evaluate
        self._space = supernet.space
        self._depths = option_depths(supernet)
        if not any(depths.any() for depths in self._depths):
            raise UserError(
                f"search.depth_weight {weight}: all networks of this space are equally deep; leave "
                "the setting out"
            )
        self._weight = weight

    def __call__(self, architectures: Sequence[Architecture]) -> Scores:
        """Evaluate architectures.

        Returns:
            Each distinct architecture with its score, in any order.
        """
        for architecture, score in self._evaluate(architectures):
            factor, middle = self._scale
            yield architecture, score + factor * (self._depth(architecture) - middle)

    def _depth(self, architecture: Architecture) -> float:
        return sum(
            float(one[option]) for one, option in zip(self._depths, architecture, strict=True)
        )

    @cached_property
    def _scale(self) -> tuple[float, float]:
        random = generator(0, "depth")
        found = dict(self._evaluate([self._space.sample(random) for _ in range(SAMPLE)]))
        depths = np.array([self._depth(one) for one in found])
        # Where the sample is equally deep by chance, no scale is known.
        spread = float(depths.std()) or np.inf
        factor = self._weight * float(np.std(list(found.values()))) / spread
        return factor, float(depths.mean())
