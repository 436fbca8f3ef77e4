"""Latency tables, which predict the latency of architectures on a device."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

from spos._util.errors import UserError
from spos._util.files import as_path, read_json, write_json
from spos._util.records import to_plain
from spos.cost.latency.device import device_name
from spos.cost.latency.record import (
    Fit,
    Measured,
    PartKey,
    PartLatency,
    as_stored,
    from_stored,
    part_key,
    weights_of,
)
from spos.cost.outputs import output_of
from spos.cost.part import Costs, Counter, Options, Part, run
from spos.cost.table import ENUMERATED
from spos.nn.supernet import Supernet
from spos.space import SearchSpace


@dataclass(frozen=True)
class LatencyTable(Measured):
    """Latencies of the parts of a supernet, as measured by ``spos latency``.

    The latency of an architecture is the sum of its parts, plus the intercept, plus the boundary
    times the number of parts that compute something (:class:`spos.cost.latency.record.Fit`).

    Args:
        space (str): name of the search space; empty for your own model.
        preset (str): name of the preset; empty for your own model.
        layout (Mapping[str, Any]): layout in JSON types; empty for your own model.
        input_shape (tuple[int, ...]): shape of one image, (channels, height, width).
        outputs (int): number of outputs of a network per image.
        runtime (Runtime): backend, device and settings of the measurement.
        versions (Mapping[str, str]): versions of the libraries and the system, by name.
        date (str): time of the measurement, ISO 8601.
        parts (Mapping[PartKey, PartLatency]): latencies by part.
        fit (Fit): time that a network takes in addition to its parts.

    Source: the sum over layers is that of Wu et al., "FBNet", CVPR 2019, Section 3.2.

    Example:
        >>> from torch import nn
        >>> from spos.cost import CostTable
        >>> from spos.cost.latency.record import Runtime
        >>> from spos.nn import OneOf
        >>> model = nn.Sequential(OneOf({"3x3": nn.Conv2d(3, 8, 3), "1x1": nn.Conv2d(3, 8, 1)}))
        >>> supernet = Supernet(model, (3, 10, 10))
        >>> table = LatencyTable(
        ...     "", "", {}, (3, 10, 10), 512, Runtime("torch", "cpu", "any", 1, 1, False), {}, "",
        ...     {
        ...         PartKey("0", ("3x3",), "1x3x10x10"): PartLatency(median=9000, spread=5, runs=9),
        ...         PartKey("0", ("1x1",), "1x3x10x10"): PartLatency(median=4000, spread=5, runs=9),
        ...     },
        ... )
        >>> CostTable(supernet, counter=table.counter(supernet)).cost([0])
        {'latency': 9000}
    """

    parts: Mapping[PartKey, PartLatency]
    fit: Fit = field(default_factory=Fit)

    @staticmethod
    def read(path: str | Path) -> LatencyTable:
        """Read a file written by :meth:`write`.

        Args:
            path (str | Path): latency table.

        Raises:
            UserError: the file cannot be read, is not a latency table, is damaged, or has a newer
                format.
        """
        path = as_path(path, "latency table")
        try:
            stored = read_json(path)
        except OSError as error:
            raise UserError(f"latency table {path}: {error.strerror}") from error
        except ValueError as error:
            raise UserError(f"{path} is not a latency table or is damaged: {error}") from error
        return LatencyTable(**from_stored(stored, str(path)))

    def write(self, path: str | Path) -> None:
        """Write the table as JSON, atomically.

        Args:
            path (str | Path): file to write.

        Raises:
            OSError: the folder does not exist or is not writable.
        """
        write_json(as_path(path, "latency table"), as_stored(vars(self)))

    def check_supernet(self, space: str, preset: str, layout: Any, supernet: Supernet) -> None:
        """Check that the table belongs to a supernet.

        Args:
            space (str): name of the search space.
            preset (str): name of the preset.
            layout (Any): dataclass of the layout.
            supernet (Supernet): supernet built from the layout.

        Raises:
            UserError: the table belongs to another supernet; the message names the first
                difference.
        """
        plain = to_plain(layout)
        named: list[tuple[str, Any, Any]] = [
            ("space", self.space, space),
            ("preset", self.preset, preset),
            *((f"layout.{k}", self.layout.get(k), plain.get(k)) for k in {**plain, **self.layout}),
        ]
        # One of a model of the user's own, measured in a script, has no names.
        pairs = [
            *(named if self.space else ()),
            ("input shape", self.input_shape, supernet.input_shape),
            ("number of outputs", self.outputs, output_of(supernet).numel()),
        ]
        for what, there, here in pairs:
            if there != here:
                raise UserError(
                    f"the latency table is of another supernet: its {what} is {there}, here it is "
                    f"{here}; measure this one with spos latency"
                )

    def check_device(self, name: str, advice: str = "") -> None:
        """Check that the table was measured on the target device.

        Args:
            name (str): name of the target device; empty for the device of this machine.
            advice (str): advice in the error message instead of naming the target device.

        Raises:
            UserError: the table was measured on another device.
        """
        there = self.runtime.device
        if name:
            if name != there:
                raise UserError(
                    f"--latency-device '{name}': the latency table is of '{there}'; give that, or "
                    "the table of another device"
                )
            return
        target = advice or f"if it is the target, say --latency-device '{there}'"
        try:
            here = device_name(self.runtime.accelerator)
        except UserError as error:
            raise UserError(
                f"the latency table is of '{there}', and this machine has no "
                f"{self.runtime.accelerator} device: {target}"
            ) from error
        if here != there:
            raise UserError(
                f"the latency table is of '{there}', and this machine has '{here}': {target}"
            )

    def counter(self, supernet: Supernet) -> Counter:
        """Return a counter of the latency for a :class:`spos.cost.CostTable`.

        Args:
            supernet (Supernet): supernet of the table.
        """

        def count(part: Part) -> tuple[Costs, Any]:
            network = part.network()
            found = self.parts.get(part_key(part))
            if found and found.weights and found.weights != weights_of(network):
                raise UserError(
                    f"the latency table is of another model: its {part_key(part)} has weights of "
                    "other shapes; measure this one with spos latency"
                )
            output = run(network, part.value)
            return (self.latency(part),), output

        return Counter(("latency",), count, first_apart=True)

    def latency(self, part: Part) -> int:
        """Return the latency of a part including its share of the fit, in nanoseconds.

        Args:
            part (Part): part of the supernet of the table.

        Raises:
            UserError: the table does not contain the part.
        """
        first = self.fit.intercept if part.number == 0 else 0
        counts = [part.supernet.space.option_counts[place] for place in part.stage.choices]
        if part_key(part) in self.parts or math.prod(counts) <= ENUMERATED:
            return first + self._found(part)
        base = self._found(replace(part, options=(0,) * len(counts)))
        groups = groups_of(part.supernet.space, part.stage.choices)
        changed = (changed_alone(part.options, group) for group in groups)
        added = (self._found(replace(part, options=options)) - base for options in changed)
        return first + base + sum(added)

    def _found(self, part: Part) -> int:
        found = self.parts.get(part_key(part))
        if found is None:
            raise UserError(
                f"the latency table lacks {part_key(part)}: measure the space again with spos "
                "latency"
            )
        return 0 if found.nothing else found.median + self.fit.boundary


def groups_of(space: SearchSpace, choices: Sequence[int]) -> list[list[int]]:
    """Group the places of a stage's choices: those inside of options with the choices of these.

    Each is a group of its own if one group has too many combinations to measure.
    """
    groups = space.together(choices)
    counts = [math.prod(space.option_counts[choices[at]] for at in group) for group in groups]
    return groups if max(counts) <= ENUMERATED else [[place] for place in range(len(choices))]


def changed_alone(options: Options, group: Sequence[int]) -> Options:
    """Return the options of a group of choices, and the first option of every other choice."""
    return tuple(option if place in group else 0 for place, option in enumerate(options))


def measured_options(space: SearchSpace, choices: Sequence[int]) -> Iterator[Options]:
    """Options with which a stage of too many combinations is measured: a group changed at a time.

    Args:
        space (SearchSpace): space of the supernet.
        choices (Sequence[int]): positions of the choices that the stage reads.
    """
    counts = [space.option_counts[position] for position in choices]
    for group in groups_of(space, choices):
        yield from product(*(range(n if at in group else 1) for at, n in enumerate(counts)))
