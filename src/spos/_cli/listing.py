"""The catalogue of search spaces, as records and as a table."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import torch
from rich import box
from rich.table import Column, Table

from spos.cost.cost import find_cost
from spos.cost.units import COUNT
from spos.report.words import FLOPS_NOTE
from spos.spaces import SPACES, family


def list_spaces(name: str | None = None) -> Iterator[dict[str, Any]]:
    """Describe the spaces of the catalogue, one after the other, since counting takes seconds.

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
            layout = member.preset(preset)
            with torch.device("meta"):
                supernet = member.build(layout, classes=1000 if layout.image_size == 224 else 10)
            yield {
                "space": space,
                "preset": preset,
                "image_size": layout.image_size,
                "choices": len(supernet.space),
                "size": supernet.space.size,
                "costs": member.costs(supernet).range(),
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
        table.add_row(
            row["space"],
            row["preset"],
            str(row["image_size"]),
            str(row["choices"]),
            size_text(row["size"]),
            range_text(row["costs"]["flops"]),
            range_text(row["costs"]["params"]),
        )
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
