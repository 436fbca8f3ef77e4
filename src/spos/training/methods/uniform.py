"""Uniform sampling of paths: the method of the paper."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor

from spos._util.errors import UserError
from spos._util.randomness import generator
from spos.space import Architecture, SearchSpace
from spos.training.method import METHODS, Method, Pass


@METHODS.register("uniform")
class Uniform(Method):
    """Training of random paths, with every option of every choice equally likely.

    Args:
        paths (int): paths per step, each on the same batch, at least 1.
        widening_steps (int): steps over which the choices of sizes open, at least 0.

    Source: Guo et al., Section 3.2.
    """

    label = "uniform paths"
    own_paths = True
    settings = ("paths", "widening_steps")

    def __init__(
        self, *training: Any, paths: int = 1, widening_steps: int = 0, **named: Any
    ) -> None:
        super().__init__(*training, **named)
        if widening_steps and not any(one.ordered for one in self.supernet.space.choices):
            raise UserError(
                f"supernet.widening_steps {widening_steps}: no choice of this space is one of "
                "sizes, which could open; leave it out"
            )
        self.passes = paths
        self._widening = widening_steps

    def losses(self, step: int, inputs: Tensor, targets: Tensor) -> Iterator[Pass]:
        space = self.supernet.space
        for path in uniform_paths(space, self.seed, step, self.passes, self._widening):
            self.supernet.activate(path)
            yield self.forward(inputs, targets)


def uniform_paths(
    space: SearchSpace, seed: int, step: int, paths: int = 1, widening: int = 0
) -> Iterator[Architecture]:
    """Draw the paths of a training step, each option of each choice independently and uniformly.

    The paths depend only on the arguments.

    Args:
        space (SearchSpace): search space.
        seed (int): seed of the training, at least 0.
        step (int): step of the training, from 0.
        paths (int): number of paths, at least 1.
        widening (int): steps over which the choices of sizes, such as channels, open: first only
            the largest size is drawn, then the largest two, and so on, each for equally many steps.
            A supernet that trains all widths from the start is known to learn badly.

    Source: Guo et al., Section 3.2; Cai et al., "Once-for-All", ICLR 2020, for the order from large
    to small.

    Example:
        >>> from spos.space import Choice
        >>> space = SearchSpace([Choice("width", ("8", "16"), ordered=True)])
        >>> [next(uniform_paths(space, 0, step, widening=10)) for step in (0, 4)]
        [Architecture(1), Architecture(1)]
    """
    random = generator(seed, "paths", step)
    least = [0] * len(space)
    if step < widening:
        counts = space.option_counts
        least = [
            (count - 1 - step * count // widening) * choice.ordered
            for choice, count in zip(space.choices, counts, strict=True)
        ]
    for _ in range(paths):
        yield Architecture(random.integers(least, space.option_counts).tolist())
