"""The Pareto front of a score and costs: the points that no other point dominates."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

#: A score to maximise, and then costs to minimise.
Values = tuple[float, ...]


def find_front(points: Iterable[Values]) -> list[int]:
    """Find the points that no other point dominates.

    A point dominates another one if its score is at least as high, every cost at least as low, and
    one of them differs. Of equal points only the first is kept.

    Args:
        points (Iterable[Values]): a score followed by costs, one tuple per point.

    Returns:
        Positions of the points, by cost (the first one, then the next) and then by score.

    Example:
        >>> find_front([(0.8, 20), (0.9, 30), (0.7, 25), (0.8, 20), (0.6, 10)])
        [4, 0, 1]
    """
    values = np.array([(-score, *costs) for score, *costs in points], dtype=np.float64)
    if len(values) == 0:
        return []
    # Sorted by cost, then by decreasing score, then by position.
    order = np.lexsort((np.arange(len(values)), values[:, 0], *values[:, :0:-1].T))
    kept: list[int] = []
    for position in order.tolist():
        # A dominating point costs at most as much, so it comes first in the order.
        if not kept or not (values[kept] <= values[position]).all(axis=1).any():
            kept.append(position)
    return kept
