"""The Pareto front of a score and costs: the points that no other one dominates."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

#: A score to maximise, and then costs to minimise.
Values = tuple[float, ...]


def find_front(points: Iterable[Values]) -> list[int]:
    """Find the points that no other point dominates.

    A point dominates another one where its score is as high and every cost as low, and one of them
    differs. Of equal points the first counts.

    Args:
        points (Iterable[Values]): one tuple a point, a score and then costs.

    Returns:
        Positions of the points, by cost (the first one, then the next) and then by score.

    Example:
        >>> find_front([(0.8, 20), (0.9, 30), (0.7, 25), (0.8, 20), (0.6, 10)])
        [4, 0, 1]
    """
    values = np.array([(-score, *costs) for score, *costs in points], dtype=np.float64)
    if len(values) == 0:
        return []
    # By cost, then the higher score, then the earlier one.
    order = np.lexsort((np.arange(len(values)), values[:, 0], *values[:, :0:-1].T))
    kept: list[int] = []
    for position in order.tolist():
        # Whatever dominates a point costs as little, so that it comes before.
        if not kept or not _dominated(values[position], values[kept]):
            kept.append(position)
    return kept


def _dominated(point: NDArray[np.float64], others: NDArray[np.float64]) -> bool:
    return bool((others <= point).all(axis=1).any())
