"""The depth of a network as a score that needs no training."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from torch import nn

from spos._util.errors import UserError
from spos.nn.one_of import OneOf
from spos.nn.supernet import Supernet
from spos.space import Architecture


def option_depths(supernet: Supernet) -> list[NDArray[np.float64]]:
    """Compute how deep each option of each choice is, beside the other options of the choice.

    The depth of a module is its number of layers with weights, such as convolutions, without those
    of a choice inside of it, which has depths of its own.

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
        for one in set(_layers(module))
    )


def _layers(module: nn.Module) -> Iterator[nn.Module]:
    yield module
    if not isinstance(module, OneOf):
        for child in module.children():
            yield from _layers(child)


class Depth:
    """The depth of the networks of a space.

    One-shot scores undervalue deep networks: each of their layers was trained in a fraction of the
    steps.

    Args:
        supernet (Supernet): supernet of the space.

    Raises:
        UserError: all networks of the space are equally deep.

    Example:
        >>> options = lambda: {"skip": nn.Identity(), "convolution": nn.Conv2d(3, 3, 1)}
        >>> layers = nn.Sequential(OneOf(options()), OneOf(options()))
        >>> depth = Depth(Supernet(layers, input_shape=(3, 8, 8)))
        >>> depth(Architecture([0, 0])), depth(Architecture([1, 0]))
        (0.0, 1.0)
    """

    def __init__(self, supernet: Supernet) -> None:
        self._space, self._depths = supernet.space, option_depths(supernet)
        if not any(depths.any() for depths in self._depths):
            raise UserError(
                "search.depth_weight: all networks of this space are equally deep; leave the "
                "setting out"
            )

    def __call__(self, architecture: Architecture) -> float:
        """Sum the depths of the options of an architecture."""
        # A choice inside of an option that is not chosen adds no layer.
        taken = zip(self._depths, architecture, self._space.effects(architecture), strict=True)
        return sum(float(one[option]) for one, option, has_effect in taken if has_effect)
