"""The costs that a run bounds, beside those that every run has."""

from __future__ import annotations

from pathlib import Path

from spos._util.errors import UserError, nearest
from spos.cost import CostModel, CostTable
from spos.cost.combined import CombinedCosts
from spos.cost.cost import COSTS, CountedCost, primary_cost
from spos.cost.latency import LatencyTable
from spos.nn.supernet import Supernet
from spos.run.config import Config, required_method

#: The copy of its latency table that a run keeps.
LATENCY_TABLE = "latency.json"


def charged_cost(config: Config) -> str | None:
    """The cost in the loss of theta: latency without another, if it is known.

    Args:
        config (Config): configuration of the run.

    Returns:
        Its name; None in the joint form, whose loss has none.
    """
    if config.differentiable.form == "joint":
        return None
    by_default = "latency" if config.constraint.latency_table else "flops"
    return config.differentiable.cost or by_default


def searched_cost(config: Config) -> str:
    """The cost that the search of a run is about, see :func:`spos.cost.cost.primary_cost`.

    Args:
        config (Config): of the run.

    Example:
        >>> from spos.run.config import make_config
        >>> searched_cost(make_config({"search": {"pareto": ["latency"]}}))
        'latency'
    """
    return primary_cost(
        config.bounds.maximum,
        config.bounds.minimum,
        config.search.pareto,
        charged_cost(config) if required_method(config.search.algorithm) else None,
    )


def latency_table(config: Config, directory: Path) -> LatencyTable | None:
    """The latency table of a run; None where it has none.

    Args:
        config: of the run.
        directory: of the run; once the run has begun it holds a copy, which goes before the file.

    Raises:
        UserError: the file cannot be read.
    """
    given, kept = config.constraint.latency_table, directory / LATENCY_TABLE
    if not given:
        return None
    return LatencyTable.read(kept if kept.exists() else Path(given))


def check_latency_table(given: str, directory: Path) -> None:
    """Refuse a file that is not the latency table that a run has begun with.

    Args:
        given: the file that was given in this command; empty where none was.
        directory: of the run.

    Raises:
        UserError: it is another table; one that is gone is not missed.
    """
    kept = directory / LATENCY_TABLE
    if not (given and kept.exists() and Path(given).exists()):
        return
    if LatencyTable.read(Path(given)) != LatencyTable.read(kept):
        raise UserError(
            f"--latency-table {given}: it is not the table that {directory} began with any more "
            f"({kept}): leave it out to go on with that one, or give another --out"
        )


def add_bounded_costs(
    own: CostModel, supernet: Supernet, config: Config, directory: Path, *, eager: bool = True
) -> CostModel:
    """The costs of a space, and beside them those that the run bounds or has a table of.

    Args:
        own: the costs of the space.
        supernet: of the run.
        config: of the run.
        directory: of the run.
        eager: count every option now.

    Raises:
        UserError: a bound is about a cost that there is not, or the latency table is of another
            supernet or device.
    """
    tables = [own]
    table = latency_table(config, directory)
    if table is not None:
        table.check_supernet(config.space, config.preset, config.layout, supernet)
        if not (directory / LATENCY_TABLE).exists():
            # A run that has begun may be finished anywhere.
            table.check_device(config.constraint.latency_device)
        tables.append(CostTable(supernet, eager=eager, counter=table.counter(supernet)))
    for name in config.costs:
        if name in own.names or (name == "latency" and table is not None):
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
        tables.append(CostTable(supernet, eager=eager, counter=CountedCost(COSTS.find(name))))
    return CombinedCosts(tables) if len(tables) > 1 else own
