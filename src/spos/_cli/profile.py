"""What an architecture of a search space costs, without training."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from rich.table import Column, Table

from spos.cost import CostTable
from spos.cost.combined import CombinedCosts
from spos.cost.cost import find_cost
from spos.cost.latency import LatencyTable
from spos.report.words import FLOPS_NOTE
from spos.run.config import read_layout
from spos.spaces import family


def profile_architecture(
    space: str,
    preset: str,
    architecture: str,
    *,
    classes: int = 1000,
    image_channels: int = 3,
    assignments: Iterable[str] = (),
    latency_table: str | None = None,
) -> dict[str, Any]:
    """Count the costs of the stand-alone network of an architecture.

    Returns:
        Each cost by name, the architecture in both encodings, and the costs of every stage.

    Raises:
        UserError: the space, preset, setting or architecture is invalid.

    Example:
        >>> facts = profile_architecture("shufflenetv2", "tiny", "0,1,2,3,0,1,2,3", classes=10)
        >>> facts["architecture"], facts["names"]["stage2.1"]
        ('0,1,2,3,0,1,2,3', 'shuffle3x3')
    """
    spaces, layout = family(space), read_layout(space, preset, assignments)
    with torch.device("meta"):
        supernet = spaces.build(layout, classes=classes, image_channels=image_channels)
    parsed = spaces.parse(supernet.space, preset, architecture)
    # Not eager: only the options of this architecture are counted.
    table = spaces.costs(supernet, eager=False)
    if latency_table is not None:
        measured = LatencyTable.read(Path(latency_table))
        measured.check_supernet(space, preset, layout, supernet)
        latency = CostTable(supernet, eager=False, counter=measured.counter(supernet))
        table = CombinedCosts([table, latency])
    names = supernet.space.names(parsed)
    return {
        **table.cost(parsed),
        "space": space,
        "preset": preset,
        "architecture": str(parsed),
        **spaces.notated(names),
        "names": names,
        "stages": table.stages(parsed),
    }


def profile_table(facts: dict[str, Any]) -> Table:
    """The costs of an architecture as a table for the terminal."""
    title = f"{facts['space']} {facts['preset']}  {facts['architecture']}"
    if "notation" in facts:
        title = f"{title}\n{facts['notation']}"
    costs = [find_cost(name) for name in facts["stages"][0] if name not in ("name", "choices")]
    numbers = (Column(cost.label, justify="right") for cost in costs)
    table = Table("stage", "option", *numbers, title=title, caption=FLOPS_NOTE)
    for stage in facts["stages"]:
        table.add_row(
            stage["name"],
            " ".join(stage["choices"].values()),
            *(cost.format(stage[cost.name]) for cost in costs),
        )
    table.add_section()
    totals = (
        cost.format(facts[cost.name]) if cost.unit.symbol else f"{facts[cost.name]:,}"
        for cost in costs
    )
    table.add_row("all", "", *totals)
    return table
