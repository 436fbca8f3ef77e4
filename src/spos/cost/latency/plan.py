"""Selection of the parts of a supernet to measure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from torch import fx, nn

from spos._util.errors import UserError
from spos.cost.latency.record import PartKey, part_key
from spos.cost.latency.table import one_changed
from spos.cost.part import Costs, Options, Part, run
from spos.cost.table import ENUMERATED, CostTable
from spos.nn.supernet import Supernet

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
    return {
        key: part
        for group in collected.groups.values()
        for part in _parts_to_measure(group)
        for key in [part_key(part)]
    }


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
    if math.prod(counts) <= ENUMERATED:
        return list(group.values())
    alone = [one_changed(counts, p, o) for p, n in enumerate(counts) for o in range(n)]
    needed = list(dict.fromkeys(alone))
    # If other stages read the same choices, an input shape occurs with few of the options. The cost
    # table then enumerates the combinations that occur, and all of them are measured.
    if all(options in group for options in needed):
        return [group[options] for options in needed]
    return list(group.values())
