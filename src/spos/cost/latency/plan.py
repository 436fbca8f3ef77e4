"""Selection of the parts of a supernet to measure, and of the rows in which they are measured."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn

from spos._util.errors import UserError
from spos._util.randomness import generator
from spos.cost.latency.record import PartKey, part_key
from spos.cost.latency.table import one_changed
from spos.cost.part import Costs, Options, Part, first_identical, run
from spos.cost.table import ENUMERATED, CostTable
from spos.nn.supernet import Supernet
from spos.space import Architecture

#: Modules that compute nothing in evaluation mode.
NOTHING = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)


def parts_of(supernet: Supernet) -> dict[PartKey, Part]:
    """Return the distinct parts that determine the latency of every architecture.

    For a stage with more combinations of options than a cost table enumerates, these are the
    combination of all first options and those that differ from it in one choice.

    Returns:
        Parts on the meta device by their keys, in the order of the stages.

    Raises:
        UserError: a stage does not run on the supernet's input shape.

    Example:
        >>> from spos.nn import OneOf
        >>> def layer():
        ...     return OneOf({"conv": nn.Conv2d(3, 3, 1), "skip": nn.Identity()})
        >>> supernet = Supernet(nn.Sequential(layer(), layer()), (3, 9, 9))
        >>> [key.options for key in parts_of(supernet)]
        [('conv',), ('skip',)]
    """
    collected = _Collector()
    CostTable(supernet, counter=collected)
    groups = map(_parts_to_measure, collected.groups.values())
    return {part_key(part): part for group in groups for part in group}


def network_of(module: nn.Module) -> fx.GraphModule:
    """Trace a module without choices into the graph that is deployed, in evaluation mode.

    Raises:
        UserError: the module cannot be traced.
    """
    module.eval()
    try:
        # Inside a sequence a torch module stays one operation; as the root it would be traced into.
        return fx.symbolic_trace(nn.Sequential(module)).eval()
    except (fx.proxy.TraceError, TypeError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"{type(module).__name__} cannot be written as one graph ({reason}), which is what is "
            "measured"
        ) from error


def computes_nothing(network: fx.GraphModule) -> bool:
    """Return whether a graph returns its input unchanged in evaluation mode.

    Example:
        >>> computes_nothing(network_of(nn.Sequential(nn.Identity(), nn.Dropout(0.2))))
        True
    """
    steps = [node for node in network.graph.nodes if node.op not in ("placeholder", "output")]
    return all(
        step.op == "call_module" and isinstance(network.get_submodule(str(step.target)), NOTHING)
        for step in steps
    )


class _Collector:
    """A counter that records every part of a cost table and counts nothing."""

    peak = False
    names = ("latency",)

    def __init__(self) -> None:
        # For each stage and input shape, the parts by options.
        self.groups: dict[tuple[str, str], dict[Options, Part]] = {}

    def __call__(self, part: Part) -> tuple[Costs, Any]:
        output = run(part.network(), part.value)
        key = part_key(part)
        self.groups.setdefault((key.stage, key.input), {})[part.options] = part
        return (0,), output


def _parts_to_measure(group: Mapping[Options, Part]) -> list[Part]:
    any_part = next(iter(group.values()))
    counts = [any_part.supernet.space.option_counts[place] for place in any_part.stage.choices]
    if math.prod(counts) > ENUMERATED:
        needed = [one_changed(counts, p, o) for p, n in enumerate(counts) for o in range(n)]
        # If other stages read the same choices, an input shape occurs with few of the options. The
        # cost table then enumerates the combinations that occur, and all of them are measured.
        if all(options in group for options in needed):
            return [group[options] for options in needed]
    return list(group.values())


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
    identical = first_identical(supernet)
    outputs: dict[PartKey, Any] = {}
    rows: dict[str, Row] = {}
    unproductive = 0
    for architecture, drawn in _candidates(supernet):
        # Random architectures only serve parts that are in no row yet.
        enough = MIN_ROWS - 1 if drawn else 0
        if unproductive == MAX_UNPRODUCTIVE or max(missing.values()) <= enough:
            break
        unproductive += 1
        row = Row(str(architecture), tuple(_walk(supernet, architecture, identical, outputs)))
        if row.name not in rows and any(missing.get(key, 0) > enough for key in row.keys):
            rows[row.name], unproductive = row, 0
            for key in row.keys:
                if key in missing:
                    missing[key] -= 1
    met = {key for row in rows.values() for key in row.keys}
    alone = [Row(str(part_key(part)), (part,)) for part in wanted if part_key(part) not in met]
    return [*rows.values(), *alone]


def _walk(
    supernet: Supernet,
    architecture: Architecture,
    identical: Sequence[int],
    outputs: dict[PartKey, Any],
) -> Iterator[Part]:
    """Iterate over the parts of an architecture, running each distinct part only once."""
    value: Any = torch.empty(1, *supernet.input_shape, device="meta")
    for number, stage in enumerate(supernet.stages):
        part = Part(supernet, identical[number], number, stage.options(architecture), value)
        key = part_key(part)
        if key not in outputs:
            outputs[key] = run(part.network(), value)
        value = outputs[key]
        yield part


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
