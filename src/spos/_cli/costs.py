"""What architectures cost without training: of the spaces of the catalogue, and of one network."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from rich import box
from rich.table import Column, Table

from spos.cost import CostTable
from spos.cost.combined import CombinedCosts
from spos.cost.cost import find_cost
from spos.cost.units import COUNT
from spos.report.words import FLOPS_NOTE
from spos.spaces import SPACES, family
from spos.spaces._ranges import build_preset, cost_range, usual_classes


def list_spaces(name: str | None = None) -> Iterator[dict[str, Any]]:
    """Describe the spaces of the catalogue, one after the other, since some may have to be counted.

    Yields:
        Name, preset, image size, number of choices, exact size, the range of each cost for 10
        classes (1000 at 224 pixels), the published architectures, and the paper.

    Raises:
        UserError: the space is unknown.

    Example:
        >>> facts = {row["preset"]: row for row in list_spaces("shufflenetv2")}
        >>> facts["tiny"]["size"], facts["tiny"]["costs"]["params"]
        (65536, (17940, 26228))
    """
    chosen = SPACES if name is None else {name: family(name)}
    for space, member in chosen.items():
        presets = list(member.presets)
        for preset in presets if name is not None else presets[:1]:
            supernet = build_preset(member, preset)
            yield {
                "space": space,
                "preset": preset,
                "image_size": member.preset(preset).image_size,
                "choices": len(supernet.space),
                "size": supernet.space.size,
                "costs": cost_range(member, supernet),
                "networks": [n for n, (where, _) in member.networks.items() if where == preset],
                "paper": member.paper,
            }


def spaces_table(rows: list[dict[str, Any]]) -> Table:
    """The catalogue as a table for the terminal."""
    words = (Column(heading, no_wrap=True) for heading in ("space", "preset"))
    costs = (find_cost(name).heading for name in ("flops", "params"))
    numbers = (
        Column(heading, justify="right", no_wrap=True)
        for heading in ("image", "choices", "architectures", *costs)
    )
    table = Table(
        *words,
        *numbers,
        box=box.SIMPLE_HEAD,
        padding=(0, 0),
        pad_edge=False,
        caption=f"{FLOPS_NOTE}; spos spaces NAME: all presets",
    )
    for row in rows:
        named = (str(row[key]) for key in ("space", "preset", "image_size", "choices"))
        ranges = (range_text(row["costs"][cost]) for cost in ("flops", "params"))
        table.add_row(*named, size_text(row["size"]), *ranges)
        if len(set(row["costs"]["flops"])) == 1 and "bitops" in row["costs"]:
            # The choices do not change the multiply-adds.
            heading = find_cost("bitops").heading
            table.add_row("", "", "", "", heading, range_text(row["costs"]["bitops"]), "")
    return table


def range_text(bounds: tuple[int, int]) -> str:
    """A range of a cost with two significant figures.

    Example:
        >>> range_text((270_400_000, 398_600_000))
        '270M–400M'
        >>> range_text((1_814_073_344, 1_814_073_344))
        '1.8G'
    """
    texts = (COUNT.format(float(f"{bound:.2g}")) for bound in dict.fromkeys(bounds))
    return "–".join(re.sub(r"\.0+$|(\.\d*[1-9])0+$", r"\1", t[:-1]) + t[-1] for t in texts)


def size_text(size: int) -> str:
    """The size of a space, rounded if it is large.

    Example:
        >>> size_text(15625), size_text(4**20)
        ('15,625', '1.1e12')
    """
    return f"{size:,}" if size < 10**6 else f"{size:.1e}".replace("e+", "e")


def profile_architecture(
    space: str,
    preset: str | None,
    architecture: str,
    *,
    classes: int | None = None,
    image_channels: int = 3,
    assignments: Iterable[str] = (),
    latency_table: str | None = None,
) -> dict[str, Any]:
    """Count the costs of the stand-alone network of an architecture.

    Without a preset it is one of the first preset of the space, as ``spaces`` lists it; without a
    number of classes it has the usual ones of the preset.

    Returns:
        Each cost by name, the architecture in both encodings, and the costs of every stage.

    Raises:
        UserError: the space, preset, setting or architecture is invalid.

    Example:
        >>> facts = profile_architecture("shufflenetv2", "tiny", "0,1,2,3,0,1,2,3", classes=10)
        >>> facts["architecture"], facts["names"]["stage2.1"]
        ('0,1,2,3,0,1,2,3', 'shuffle3x3')
    """
    # Imported where it is used, because it takes a while.
    from spos.run.config import read_layout

    spaces = family(space)
    preset = next(iter(spaces.presets)) if preset is None else preset
    classes = usual_classes(spaces, preset) if classes is None else classes
    layout = read_layout(space, preset, assignments)
    with torch.device("meta"):
        supernet = spaces.build(layout, classes=classes, image_channels=image_channels)
    parsed = spaces.parse(supernet.space, preset, architecture)
    # Not eager: only the options of this architecture are counted.
    table = spaces.costs(supernet, eager=False)
    if latency_table is not None:
        from spos.cost.latency import LatencyTable

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
