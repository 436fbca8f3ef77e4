"""The costs that a run bounds, in addition to those that every run counts."""

from __future__ import annotations

import math
from pathlib import Path

from spos._util.errors import UserError, nearest
from spos.cost import Constraint, CostModel, CostTable
from spos.cost.combined import CombinedCosts
from spos.cost.cost import COSTS, primary_cost
from spos.cost.count import cost_counter
from spos.cost.latency import LatencyTable
from spos.nn.supernet import Supernet
from spos.run.config import Config

#: The copy of its latency table that a run keeps.
LATENCY_TABLE = "latency.json"


def find_charged_cost(config: Config) -> str | None:
    """Name the cost in the loss of theta.

    By default it is latency if the run has a latency table, and multiply-adds otherwise.

    Returns:
        Name of the cost; None in the joint form, whose loss has no cost.
    """
    if config.differentiable.form == "joint":
        return None
    return config.differentiable.cost or ("latency" if config.constraint.latency_table else "flops")


def find_primary_cost(config: Config) -> str:
    """Name the primary cost of the search of a run, see :func:`spos.cost.cost.primary_cost`.

    Example:
        >>> from spos.run.config import make_config
        >>> find_primary_cost(make_config({"search": {"pareto": ["latency"]}}))
        'latency'
    """
    bounds = config.bounds
    charged = find_charged_cost(config) if config.required_method else None
    return primary_cost(bounds.maximum, bounds.minimum, config.search.pareto, charged)


def narrow(bounds: Constraint, cost: str, least: float, most: float) -> Constraint:
    """Narrow the bounds of a cost.

    Example:
        >>> str(narrow(Constraint({"flops": 10e6}), "flops", 8e6, 12e6))
        'flops <= 10.00M, flops >= 8.000M'
    """
    most = min(most, bounds.maximum.get(cost, math.inf))
    least = max(least, bounds.minimum.get(cost, 0.0))
    return Constraint({**bounds.maximum, cost: most}, {**bounds.minimum, cost: least})


def read_latency_table(config: Config, directory: Path) -> LatencyTable | None:
    """Read the latency table of a run: its own copy, or else the file that it was given.

    Returns:
        The table; None if the run has none.

    Raises:
        UserError: the file cannot be read.
    """
    given, kept = config.constraint.latency_table, directory / LATENCY_TABLE
    if not given:
        return None
    return LatencyTable.read(kept if kept.exists() else Path(given))


def check_latency_table(given: str, directory: Path) -> None:
    """Check that a file is the latency table that a run was started with.

    Raises:
        UserError: the file holds another table. A file that no longer exists is accepted.
    """
    kept = directory / LATENCY_TABLE
    if not (given and kept.exists() and Path(given).exists()):
        return
    if LatencyTable.read(Path(given)) != LatencyTable.read(kept):
        raise UserError(
            f"--latency-table {given} is no longer the table that {directory} was started with "
            f"({kept}): leave it out to resume with that one, or give another --out"
        )


def add_bounded_costs(
    own: CostModel,
    supernet: Supernet,
    config: Config,
    directory: Path,
    *,
    eager: bool = True,
    measured: bool = True,
) -> CostModel:
    """Extend the costs of a space by those that the run bounds or has a latency table of.

    Args:
        own (CostModel): costs of the space.
        supernet (Supernet): supernet of the space.
        config (Config): configuration of the run.
        directory (Path): run directory, with its copy of the latency table.
        eager (bool): whether costs are counted at once.
        measured (bool): whether a bounded latency needs a table; otherwise it is left out.


    Raises:
        UserError: a bounded cost does not exist, or the latency table was measured for another
            supernet or device.
    """
    tables = [own]
    table = read_latency_table(config, directory)
    if table is not None:
        table.check_supernet(config.space, config.preset, config.layout, supernet)
        if not (directory / LATENCY_TABLE).exists():
            # Only a run that is not started is checked: once started, it may finish on any device.
            table.check_device(config.constraint.latency_device)
        tables.append(CostTable(supernet, eager=eager, counter=table.counter(supernet)))
    for name in config.costs:
        if name in own.names or (name == "latency" and (table is not None or not measured)):
            continue
        if name == "latency":
            raise UserError(
                "a search by latency needs the latencies of the device: measure them with spos "
                "latency, and give --latency-table FILE"
            )
        if name not in COSTS or COSTS.find(name).counter is None:
            counted = (cost for cost in COSTS if (found := COSTS.get(cost)) and found.counter)
            known = dict.fromkeys((*own.names, "latency", *counted))
            raise UserError(f"unknown cost '{name}': {nearest(name, known)}")
        tables.append(CostTable(supernet, eager=eager, counter=cost_counter(COSTS.find(name))))
    return CombinedCosts(tables) if len(tables) > 1 else own
