"""The paths that are trained in the steps of a supernet training."""

from __future__ import annotations

from collections.abc import Iterator

from spos._util.randomness import generator
from spos.space import Architecture, SearchSpace


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
    for _ in range(paths):
        if step < widening:
            yield space.sample_largest(random, step / widening)
        else:
            yield space.sample(random)
