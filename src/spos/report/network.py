"""A network drawn block by block."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from spos.report.chart import element
from spos.report.words import percent, quantity

#: Colours of options; with more options than these the labels tell them apart.
COLOURS = 8
_WIDTH, _HEIGHT, _BOX = 76, 70, 46


@dataclass(frozen=True)
class Block:
    """One part of a network.

    Args:
        name: of the choice, or of the part without a choice.
        option: what was chosen; None without a choice.
        flops: multiply-adds; None where they are unknown.
        params: parameters; None where they are unknown.
    """

    name: str
    option: str | None
    flops: int | None
    params: int | None


@dataclass(frozen=True)
class Drawing:
    """A network to show.

    Args:
        rows: a name and the drawn blocks of each row.
        legend: an option, its colour class, and how often it was chosen.
        parts: the blocks with their costs, for a table.
    """

    rows: list[tuple[str, list[Markup]]]
    legend: list[tuple[str, str, int]]
    parts: list[Block]


def blocks(winner: Mapping[str, Any]) -> list[Block]:
    """The parts of a network in order, each with its choice where it has one.

    A stage belongs to the choice of its name. Where the names differ, as many stages of one
    container as there are choices stand for them in order. Else the choices come without costs.

    Example:
        >>> names, stages = {"stage1.0": "a"}, [{"name": "stem"}, {"name": "features.0"}]
        >>> [(b.name, b.option) for b in blocks({"names": names, "stages": stages})]
        [('stem', None), ('stage1.0', 'a')]
    """
    names: Mapping[str, str] = winner.get("names") or {}
    stages: Sequence[Mapping[str, Any]] = winner.get("stages") or []
    belongs = {stage["name"]: stage["name"] for stage in stages if stage["name"] in names}
    if not belongs:
        containers: dict[str, list[str]] = {}
        for stage in stages:
            containers.setdefault(stage["name"].rpartition(".")[0], []).append(stage["name"])
        fitting = [(name, held) for name, held in containers.items() if len(held) == len(names)]
        # Stages outside of any container are seldom the choices, even if they are as many.
        inner = [held for name, held in fitting if name] or [held for _, held in fitting]
        if len(inner) == 1:
            belongs = dict(zip(inner[0], names, strict=True))
    if len(belongs) < len(names):
        return [Block(name, option, None, None) for name, option in names.items()]
    return [
        Block(
            belongs.get(stage["name"], stage["name"]),
            names.get(belongs.get(stage["name"], "")),
            stage.get("flops"),
            stage.get("params"),
        )
        for stage in stages
    ]


def draw(winner: Mapping[str, Any], options: Sequence[str]) -> Drawing:
    """Draw a network.

    Args:
        winner: with its ``names`` and ``stages``.
        options: all options of the space, in the order of their colours.
    """
    parts = blocks(winner)
    colours = {option: f"o{number % COLOURS}" for number, option in enumerate(options)}
    total = sum(block.flops or 0 for block in parts)
    largest = max((block.flops or 0 for block in parts), default=0)
    rows: list[tuple[str, list[Markup]]] = []
    for block in parts:
        row = "fixed" if block.option is None else block.name.rpartition(".")[0] or "choices"
        if not rows or rows[-1][0] != row:
            rows.append((row, []))
        rows[-1][1].append(_box(block, colours.get(block.option or "", "fixed"), total, largest))
    chosen = [block.option for block in parts]
    legend = [(option, colours[option], chosen.count(option)) for option in options]
    return Drawing(rows, [entry for entry in legend if entry[2]], parts)


def _box(block: Block, colour: str, total: int, largest: int) -> Markup:
    large, small = _label(block.option or block.name)
    words = f"{block.name}: {block.option}" if block.option else block.name
    parts = [element("rect", width=_WIDTH, height=_BOX, rx=6, class_=f"box {colour}")]
    middle = _WIDTH / 2
    if small:
        parts.append(element("text", large, x=middle, y=22, class_="kernel", text_anchor="middle"))
        parts.append(element("text", small, x=middle, y=37, class_="kind", text_anchor="middle"))
    else:
        parts.append(element("text", large, x=middle, y=27, class_="kind", text_anchor="middle"))
    if block.flops is not None and total and largest:
        share = percent(block.flops / total)
        words += f"\n{quantity(block.flops)} multiply-adds ({share})"
        words += f", {quantity(block.params)} parameters"
        wide = 34.0
        bar = wide * block.flops / largest
        parts += [
            element("rect", y=_BOX + 9, width=wide, height=6, rx=3, class_="track"),
            element("rect", y=_BOX + 9, width=max(bar, 1.5), height=6, rx=3, class_="bar"),
            element("text", share, x=_WIDTH, y=_BOX + 16, class_="share", text_anchor="end"),
        ]
    return element(
        "svg",
        element("title", words),
        *parts,
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        width=_WIDTH,
        height=_HEIGHT,
        role="img",
        aria_label=words.replace("\n", ", "),
    )


def _label(name: str) -> tuple[str, str]:
    """The kernel of an option and its kind, or as much of its name as fits."""
    match = re.fullmatch(r"(.*?)[_\-.]?(\d+)x(\d+)", name)
    if match and match[1]:
        return f"{match[2]}×{match[3]}", _short(match[1])
    return _short(name), ""


def _short(text: str) -> str:
    return text if len(text) <= 12 else text[:11] + "…"
