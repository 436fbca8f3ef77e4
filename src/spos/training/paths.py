"""The paths that the steps of a supernet training take."""

from __future__ import annotations

from collections.abc import Iterator

from spos._util.randomness import generator
from spos.space import Architecture, SearchSpace


def uniform_paths(
    space: SearchSpace, seed: int, step: int, paths: int = 1, widening: int = 0
) -> Iterator[Architecture]:
    """The paths of a training step: each option of each choice independently and equally likely.

    Args:
        space: the search space.
        seed: of the training.
        step: counted from 0; the paths depend on it and the other arguments alone.
        paths: how many.
        widening: steps over which the choice of sizes, such as channels, opens: at first only the
            largest is drawn, then the largest two, and so on, each for as many steps. A supernet
            whose widths all begin to learn at once is known to learn badly.

    Source: Guo et al., Section 3.2; Cai et al., "Once-for-All", ICLR 2020, for the order from large
    to small.

    Example:
        >>> from spos.space import Choice
        >>> space = SearchSpace([Choice("width", ("8", "16"), ordered=True)])
        >>> [next(uniform_paths(space, 0, step, widening=10)) for step in (0, 4)]
        [Architecture(1), Architecture(1)]
    """
    random = generator(seed, "paths", step)
    for _ in range(paths):
        if step < widening:
            yield space.sample_largest(random, step / widening)
        else:
            yield space.sample(random)
