"""Combinations of options: those that a node of a cost table can meet, and those of many rows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from spos.cost.part import Options

#: The most combinations of options that are told apart without sorting.
UNSORTED = 2**16


def common(choices: Options, others: Options = ()) -> Options:
    """The places, among some choices, of those that are among others as well."""
    return tuple(place for place, position in enumerate(choices) if position in others)


class Met:
    """The combinations of options that a node can meet.

    Args:
        counts: the number of options of each choice.
        places: of the choices that were read before.
        leading: their options on the ways to the node; any without it.
    """

    def __init__(self, counts: Sequence[int], places: Options, leading: set[Options] | None):
        self._places = places if leading else ()
        self._leading = leading or {()}
        self._free = [range(n) for place, n in enumerate(counts) if place not in self._places]
        self.count = len(self._leading) * math.prod(map(len, self._free))

    def __iter__(self) -> Iterator[Options]:
        for given in self._leading:
            for free in product(*self._free):
                options = list(free)
                for place, option in zip(self._places, given, strict=True):
                    options.insert(place, option)
                yield tuple(options)


def distinct(
    architectures: NDArray[np.int64], positions: Sequence[int], counts: Sequence[int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The options at some positions, each combination once, and which of them each row has."""
    if not positions:
        return np.zeros((1, 0), dtype=np.int64), np.zeros(len(architectures), dtype=np.int64)
    columns = [architectures[:, position] for position in positions]
    radices = [counts[position] for position in positions]
    if math.prod(radices) > UNSORTED:
        options, which = np.unique(np.stack(columns, axis=1), axis=0, return_inverse=True)
        return options, which.reshape(-1)
    code = np.ravel_multi_index(columns, radices)
    present = np.flatnonzero(np.bincount(code))
    place = np.zeros(present[-1] + 1, dtype=np.int64)
    place[present] = np.arange(len(present))
    return np.stack(np.unravel_index(present, radices), axis=1), place[code]
