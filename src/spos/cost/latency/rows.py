"""Rows of parts, in which each part is measured after the parts that precede it in a network."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import torch

from spos._util.randomness import generator
from spos.cost.identical_stages import first_identical
from spos.cost.latency.record import PartKey, part_key
from spos.cost.latency.table import one_changed
from spos.cost.part import Part, run
from spos.cost.table import ENUMERATED
from spos.nn.supernet import Supernet
from spos.space import Architecture

#: Fewest rows that contain a part.
MIN_ROWS = 3
#: Consecutive architectures without a missing part after which the search for rows ends.
MAX_UNPRODUCTIVE = 200


@dataclass(frozen=True)
class Row:
    """Parts of one architecture that run in sequence."""

    name: str
    parts: tuple[Part, ...]

    @property
    def keys(self) -> tuple[PartKey, ...]:
        """Keys of the parts."""
        return tuple(map(part_key, self.parts))


def rows_of(supernet: Supernet, wanted: Collection[Part]) -> list[Row]:
    """Return whole architectures that contain every part to measure, most parts several times.

    A part that no architecture was found for becomes a row of its own.

    Example:
        >>> from torch import nn
        >>> from spos.cost.part import on_meta
        >>> from spos.cost.latency.plan import parts_of
        >>> from spos.nn import OneOf
        >>> options = {"wide": nn.Conv2d(3, 8, 3), "narrow": nn.Conv2d(3, 8, 1)}
        >>> supernet = on_meta(Supernet(nn.Sequential(nn.ReLU(), OneOf(options)), (3, 9, 9)))
        >>> len(rows_of(supernet, parts_of(supernet).values()))
        2
    """
    # For each part, the number of rows that are still missing.
    missing = dict.fromkeys(map(part_key, wanted), MIN_ROWS)
    walk = _Walk(supernet)
    rows: dict[str, Row] = {}
    unproductive = 0
    for architecture, drawn in _candidates(supernet):
        # Random architectures only serve parts that are in no row yet.
        enough = MIN_ROWS - 1 if drawn else 0
        if unproductive == MAX_UNPRODUCTIVE or max(missing.values()) <= enough:
            break
        unproductive += 1
        row = Row(str(architecture), walk.parts(architecture))
        if row.name not in rows and any(missing.get(key, 0) > enough for key in row.keys):
            rows[row.name], unproductive = row, 0
            for key in row.keys:
                if key in missing:
                    missing[key] -= 1
    met = {key for row in rows.values() for key in row.keys}
    alone = [Row(str(part_key(part)), (part,)) for part in wanted if part_key(part) not in met]
    return [*rows.values(), *alone]


class _Walk:
    """Determines the parts of architectures, running each distinct part only once."""

    def __init__(self, supernet: Supernet) -> None:
        self._supernet = supernet
        self._first_identical = first_identical(supernet)
        self._outputs: dict[PartKey, Any] = {}

    def parts(self, architecture: Architecture) -> tuple[Part, ...]:
        value: Any = torch.empty(1, *self._supernet.input_shape, device="meta")
        found = []
        for number, stage in enumerate(self._supernet.stages):
            options = stage.options(architecture)
            part = Part(self._supernet, self._first_identical[number], number, options, value)
            key = part_key(part)
            if key not in self._outputs:
                self._outputs[key] = run(part.network(), value)
            value = self._outputs[key]
            found.append(part)
        return tuple(found)


def _candidates(supernet: Supernet) -> Iterator[tuple[Architecture, bool]]:
    """Iterate over architectures with every option equally often, then over random ones."""
    counts, random = supernet.space.option_counts, generator(0, "latency rows")
    # A stage with too many combinations is measured one changed option at a time.
    combinations = (math.prod(counts[p] for p in stage.choices) for stage in supernet.stages)
    if max(combinations) > ENUMERATED:
        for place, count in enumerate(counts):
            for option in range(count):
                yield Architecture(one_changed(counts, place, option)), False
    for _ in range(MIN_ROWS):
        orders = [random.permutation(count) for count in counts]
        for turn in range(max(counts)):
            yield Architecture(int(order[turn % len(order)]) for order in orders), False
    while True:
        yield supernet.space.sample(random), True
