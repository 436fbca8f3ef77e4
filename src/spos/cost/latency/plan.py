"""Selection of the parts of a supernet to measure, and of the rows in which they are measured."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import torch
from torch import fx, nn

from spos._util.randomness import generator
from spos.cost.latency.record import PartKey, part_key
from spos.cost.latency.table import measured_options
from spos.cost.part import Costs, Counter, Options, Part, first_identical, run
from spos.cost.table import ENUMERATED, CostTable
from spos.nn.supernet import Supernet
from spos.nn.tracing import one_graph
from spos.space import Architecture

#: Modules that compute nothing in evaluation mode.
NOTHING = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)


def parts_of(supernet: Supernet) -> dict[PartKey, Part]:
    """Return the distinct parts that determine the latency of every architecture.

    For a stage with more combinations of options than a cost table enumerates, these are the
    combination of all first options and those that differ from it in one choice, or in choices that
    are inside of one another.

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
    # For each stage and input shape, the parts by options.
    groups: dict[tuple[str, str], dict[Options, Part]] = {}

    def collect(part: Part) -> tuple[Costs, Any]:
        output, key = run(part.network(), part.value), part_key(part)
        groups.setdefault((key.stage, key.input), {})[part.options] = part
        return (0,), output

    CostTable(supernet, counter=Counter(("latency",), collect))
    measured = map(_parts_to_measure, groups.values())
    return {part_key(part): part for group in measured for part in group}


def network_of(module: nn.Module) -> fx.GraphModule:
    """Trace a module without choices into the graph that is deployed, in evaluation mode.

    Raises:
        UserError: the module cannot be traced.
    """
    module.eval()
    with one_graph(type(module).__name__, ", which is what is measured"):
        # Inside a sequence a torch module stays one operation; as the root it would be traced into.
        return fx.symbolic_trace(nn.Sequential(module)).eval()


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


def _parts_to_measure(group: Mapping[Options, Part]) -> list[Part]:
    any_part = next(iter(group.values()))
    space, choices = any_part.supernet.space, any_part.stage.choices
    if math.prod(space.option_counts[place] for place in choices) > ENUMERATED:
        needed = [*measured_options(space, choices)]
        # If other stages read the same choices, an input shape occurs with few of the options. The
        # cost table then enumerates the combinations that occur, and all of them are measured.
        if all(options in group for options in needed):
            return [group[options] for options in needed]
    return list(group.values())


#: Fewest rows that contain a part.
MIN_ROWS = 3
#: Consecutive architectures without a missing part after which the search for rows ends.
MAX_UNPRODUCTIVE = 200


#: Parts of one architecture that run in sequence.
Row = tuple[Part, ...]


def rows_of(supernet: Supernet, wanted: Collection[Part]) -> dict[str, Row]:
    """Return whole architectures that contain every part to measure, most parts several times.

    A part that no architecture was found for becomes a row of its own.

    Returns:
        The parts of each row, by its name.

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
    # Each distinct part runs only once.
    outputs: dict[PartKey, Any] = {}

    def walk(architecture: Architecture) -> Iterator[Part]:
        value: Any = torch.empty(1, *supernet.input_shape, device="meta")
        for number, stage in enumerate(supernet.stages):
            part = Part(supernet, identical[number], number, stage.options(architecture), value)
            key = part_key(part)
            if key not in outputs:
                outputs[key] = run(part.network(), value)
            value = outputs[key]
            yield part

    rows: dict[str, Row] = {}
    unproductive = 0
    for architecture, drawn in _candidates(supernet):
        # Random architectures only serve parts that are in no row yet.
        enough = MIN_ROWS - 1 if drawn else 0
        if unproductive == MAX_UNPRODUCTIVE or max(missing.values()) <= enough:
            break
        unproductive += 1
        row, name = tuple(walk(architecture)), str(architecture)
        keys = [*map(part_key, row)]
        if name not in rows and any(missing.get(key, 0) > enough for key in keys):
            rows[name], unproductive = row, 0
            for key in missing.keys() & keys:
                missing[key] -= keys.count(key)
    met = {part_key(part) for row in rows.values() for part in row}
    return rows | {str(part_key(part)): (part,) for part in wanted if part_key(part) not in met}


def _candidates(supernet: Supernet) -> Iterator[tuple[Architecture, bool]]:
    """Iterate over architectures with every option equally often, then over random ones."""
    counts, random = supernet.space.option_counts, generator(0, "latency rows")
    combinations = (math.prod(counts[p] for p in stage.choices) for stage in supernet.stages)
    if max(combinations) > ENUMERATED:
        for options in measured_options(supernet.space, range(len(counts))):
            yield Architecture(options), False
    for _ in range(MIN_ROWS):
        orders = [random.permutation(count) for count in counts]
        for turn in range(max(counts)):
            yield Architecture(int(order[turn % len(order)]) for order in orders), False
    while True:
        yield supernet.space.sample(random), True
