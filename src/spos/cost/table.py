"""The cost of any path of a supernet as a walk through a table built once.

A stage's cost depends on its own options and on the shape of its input, which the stages before it
decide. So a stage is a small machine: from (input shape, options) to (cost, output shape). Where a
stage reads so many choices that its options cannot be enumerated (a model that is no sequence), its
cost is one option at a time, if that proves additive, and else counted when it is asked for.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable
from itertools import product
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils._pytree import tree_map

from spos.cost.count import COSTS, count
from spos.space import Architecture
from spos.supernet import Stage, Supernet

#: The most combinations of options of one stage that are counted one by one when a table is built.
ENUMERATED = 1024
#: Random architectures on which an additive stage is checked.
CHECKED = 24


class CostTable:
    """Multiply-adds and parameters of the stand-alone network of every architecture.

    Args:
        supernet: the supernet; it is left as it is.
        eager: count every option now; otherwise each when it is first asked for.

    Raises:
        UserError: a stage does not run on the supernet's input shape.

    Example:
        >>> from spos.spaces.shufflenetv2 import PRESETS, shufflenetv2
        >>> table = CostTable(shufflenetv2(PRESETS["tiny"], classes=10, image_channels=1))
        >>> table.cost((0, 0, 0, 0))
        {'flops': 374528, 'params': 18000}
    """

    names = COSTS

    def __init__(self, supernet: Supernet, *, eager: bool = True) -> None:
        self.space = supernet.space
        self._meta = copy.deepcopy(supernet).to("meta")
        self._states: list[list[Any]] = [[] for _ in range(len(self._meta.stages) + 1)]
        self._keys: list[dict[str, int]] = [{} for _ in self._states]
        self._state(0, torch.empty(1, *supernet.input_shape, device="meta"))
        # Per stage: (state, *options) -> (cost vector, next state).
        self._entries: list[dict[tuple[int, ...], tuple[tuple[int, ...], int]]] = []
        self._additive: dict[tuple[int, int], list[list[tuple[int, ...]]]] = {}
        for number, stage in enumerate(self._meta.stages):
            self._entries.append({})
            for state in range(len(self._states[number])) if eager else ():
                self._build(number, stage, state)

    def cost(self, architecture: Iterable[int]) -> dict[str, int]:
        """The costs of one architecture.

        Args:
            architecture: a point of the space.

        Returns:
            ``{"flops": multiply-adds, "params": parameters}``.

        Raises:
            UserError: it is not a point of the space.
        """
        total = [0] * len(COSTS)
        for costs, _ in self._walk(self.space.validate(architecture)):
            for column, value in enumerate(costs):
                total[column] += value
        return dict(zip(COSTS, total, strict=True))

    def per_stage(self, architecture: Iterable[int]) -> list[tuple[str, dict[str, int]]]:
        """The costs of one architecture, stage by stage, with the names of the stages."""
        walk = self._walk(self.space.validate(architecture))
        return [
            (stage.name, dict(zip(COSTS, costs, strict=True)))
            for stage, (costs, _) in zip(self._meta.stages, walk, strict=True)
        ]

    def many(self, architectures: NDArray[np.int64]) -> NDArray[np.int64]:
        """The costs of many architectures at once.

        Args:
            architectures: option indices, shape (count, number of choices).

        Returns:
            Costs in the order of :attr:`names`, shape (count, number of costs).
        """
        total = np.zeros((len(architectures), len(COSTS)), dtype=np.int64)
        states = np.zeros(len(architectures), dtype=np.int64)
        for number, stage in enumerate(self._meta.stages):
            radices = [len(self._states[number])]
            radices += [self.space.option_counts[position] for position in stage.choices]
            columns = [states, *(architectures[:, position] for position in stage.choices)]
            if math.prod(radices) < 2**62:
                code = np.zeros(len(architectures), dtype=np.int64)
                for radix, column in zip(radices, columns, strict=True):
                    code = code * radix + column
                if math.prod(radices) <= 64 * ENUMERATED and (number, 0) not in self._additive:
                    distinct, inverse = _distinct(code, math.prod(radices))
                    rows = _digits(distinct, radices)
                    looked_up = [self._entry(number, tuple(row)) for row in rows.tolist()]
                    total += np.array([costs for costs, _ in looked_up])[inverse]
                    states = np.array([following for _, following in looked_up])[inverse]
                    continue
            costs, states = self._wide(number, stage, np.stack(columns, axis=1))
            total += costs
        return total

    def range(self) -> dict[str, tuple[int, int]]:
        """The least and the largest of each cost over the space.

        Exact for spaces whose stages read choices of their own; bounds where stages share choices;
        over random architectures where the cost of a stage is neither enumerable nor additive.
        """
        return {name: (self._best(c, min), self._best(c, max)) for c, name in enumerate(COSTS)}

    def _state(self, number: int, value: Any) -> int:
        key = str(tree_map(lambda tensor: (tuple(tensor.shape), tensor.dtype), value))
        state = self._keys[number].setdefault(key, len(self._states[number]))
        if state == len(self._states[number]):
            self._states[number].append(value)
        return state

    def _count(self, number: int, key: tuple[int, ...]) -> tuple[tuple[int, ...], int]:
        state, *options = key
        stage = self._meta.stages[number]
        whole = [0] * len(self.space)
        for position, option in zip(stage.choices, options, strict=True):
            whole[position] = option
        plain = self._meta.extract(whole, stage)
        costs, output = count(plain, self._states[number][state])
        return costs, self._state(number + 1, output)

    def _entry(self, number: int, key: tuple[int, ...]) -> tuple[tuple[int, ...], int]:
        entry = self._entries[number].get(key)
        if entry is None:
            entry = self._entries[number][key] = self._count(number, key)
        return entry

    def _walk(self, architecture: Architecture) -> Iterable[tuple[tuple[int, ...], int]]:
        state = 0
        for number, stage in enumerate(self._meta.stages):
            options = stage.options(architecture)
            if (number, state) in self._additive:
                costs, following = self._sum(number, state, options)
            else:
                costs, following = self._entry(number, (state, *options))
            yield costs, following
            state = following

    def _build(self, number: int, stage: Stage, state: int) -> None:
        counts = [self.space.option_counts[position] for position in stage.choices]
        if math.prod(counts) <= ENUMERATED:
            for options in product(*map(range, counts)):
                self._entry(number, (state, *options))
            return
        zeros = (0,) * len(counts)
        base, _ = self._entry(number, (state, *zeros))
        differences: list[list[tuple[int, ...]]] = []
        for place, options_here in enumerate(counts):
            column = []
            for option in range(options_here):
                key = (state, *zeros[:place], option, *zeros[place + 1 :])
                costs, _ = self._entry(number, key)
                column.append(tuple(a - b for a, b in zip(costs, base, strict=True)))
            differences.append(column)
        self._additive[number, state] = differences
        random = np.random.default_rng(0)
        for options in random.integers(counts, size=(CHECKED, len(counts))).tolist():
            counted = self._entry(number, (state, *options))
            if counted != self._sum(number, state, tuple(options)):
                del self._additive[number, state]
                return

    def _sum(
        self, number: int, state: int, options: tuple[int, ...]
    ) -> tuple[tuple[int, ...], int]:
        base, following = self._entries[number][state, *(0 for _ in options)]
        total = list(base)
        for column, option in zip(self._additive[number, state], options, strict=True):
            for place, difference in enumerate(column[option]):
                total[place] += difference
        return tuple(total), following

    def _wide(
        self, number: int, stage: Stage, keys: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        costs = np.zeros((len(keys), len(COSTS)), dtype=np.int64)
        states = np.zeros(len(keys), dtype=np.int64)
        for state in np.unique(keys[:, 0]).tolist():
            here = keys[:, 0] == state
            options = keys[here, 1:]
            if (number, state) in self._additive:
                base, following = self._entries[number][state, *(0 for _ in stage.choices)]
                part = np.tile(np.array(base), (len(options), 1))
                for place, column in enumerate(self._additive[number, state]):
                    part += np.array(column)[options[:, place]]
                costs[here], states[here] = part, following
            else:
                distinct, inverse = np.unique(options, axis=0, return_inverse=True)
                looked_up = [self._entry(number, (state, *row)) for row in distinct.tolist()]
                inverse = inverse.reshape(-1)
                costs[here] = np.array([entry[0] for entry in looked_up])[inverse]
                states[here] = np.array([entry[1] for entry in looked_up])[inverse]
        return costs, states

    def _best(self, column: int, choose: Any) -> int:
        best = {0: 0}
        for number in range(len(self._meta.stages)):
            reached: dict[int, int] = {}
            for state, so_far in best.items():
                for cost, following in self._extremes(number, state, column, choose):
                    value = so_far + cost
                    reached[following] = choose(reached.get(following, value), value)
            best = reached
        return int(choose(best.values()))

    def _extremes(
        self, number: int, state: int, column: int, choose: Any
    ) -> Iterable[tuple[int, int]]:
        if (number, state) in self._additive:
            columns = self._additive[number, state]
            base, following = self._entries[number][state, *(0 for _ in columns)]
            yield base[column] + sum(choose(d[column] for d in c) for c in columns), following
            return
        for key, (costs, following) in list(self._entries[number].items()):
            if key[0] == state:
                yield costs[column], following


def _distinct(code: NDArray[np.int64], size: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    present = np.zeros(size, dtype=bool)
    present[code] = True
    distinct = np.flatnonzero(present)
    place = np.zeros(size, dtype=np.int64)
    place[distinct] = np.arange(len(distinct))
    return distinct, place[code]


def _digits(code: NDArray[np.int64], radices: list[int]) -> NDArray[np.int64]:
    digits = np.empty((len(code), len(radices)), dtype=np.int64)
    for place in reversed(range(len(radices))):
        code, digits[:, place] = np.divmod(code, radices[place])
    return digits
