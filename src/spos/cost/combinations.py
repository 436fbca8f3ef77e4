"""Combinations of options that reach a node of a cost table, or that occur in an array."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spos.cost.part import Options

#: Most combinations of options that are told apart by an index instead of by sorting.
MAX_UNSORTED = 2**16


def shared_places(choices: Options, others: Options = ()) -> Options:
    """Return the indices of those choices that also occur in ``others``."""
    return tuple(place for place, position in enumerate(choices) if position in others)


def reachable_options(
    counts: Sequence[int], places: Options, leading: set[Options] | None
) -> list[list[Sequence[int]]]:
    """Return the combinations of options that can occur at a node.

    Args:
        counts (Sequence[int]): number of options of each choice that the node reads.
        places (Options): indices of the choices that the stage before reads as well.
        leading (set[Options] | None): options of those choices on the paths to the node; None
            allows all options.

    Returns:
        Disjoint sets of combinations, each the product of the options of every choice.
    """
    boxes: list[list[Sequence[int]]] = []
    for given in leading or [()]:
        fixed = dict(zip(places, given, strict=leading is not None))
        boxes.append([[fixed[p]] if p in fixed else range(n) for p, n in enumerate(counts)])
    return boxes


def distinct_options(
    architectures: NDArray[np.int64], positions: Sequence[int], counts: Sequence[int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the distinct combinations of options at some positions.

    Args:
        architectures (NDArray[np.int64]): option indices, shape (count, number of choices).
        positions (Sequence[int]): positions of the choices to look at.
        counts (Sequence[int]): number of options of each choice of the space.

    Returns:
        The distinct combinations, and for each row the index of its combination.
    """
    if not positions:
        return np.zeros((1, 0), dtype=np.int64), np.zeros(len(architectures), dtype=np.int64)
    columns = [architectures[:, position] for position in positions]
    radices = [counts[position] for position in positions]
    if math.prod(radices) > MAX_UNSORTED:
        options, which = np.unique(np.stack(columns, axis=1), axis=0, return_inverse=True)
        return options, which.reshape(-1)
    code = np.ravel_multi_index(columns, radices)
    present = np.flatnonzero(np.bincount(code))
    place = np.zeros(present[-1] + 1, dtype=np.int64)
    place[present] = np.arange(len(present))
    return np.stack(np.unravel_index(present, radices), axis=1), place[code]
