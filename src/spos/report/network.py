"""A network drawn block by block."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from spos.report.chart import element
from spos.report.words import cost, percent

#: Colours of options; with more options than these the labels tell them apart.
COLOURS = 8
#: Choices whose options are written into one box.
FITTING = 3
_WIDTH, _HEIGHT, _BOX = 76, 70, 46


@dataclass(frozen=True)
class Block:
    """One part of a network.

    Args:
        name: of the first choice, or of the part without a choice.
        options: what was chosen.
        flops: multiply-adds; None where they are unknown.
        params: parameters; None where they are unknown.
    """

    name: str
    options: tuple[str, ...]
    flops: int | None
    params: int | None

    @property
    def option(self) -> str:
        """What was chosen, in one text; empty without a choice."""
        return " ".join(self.options)


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
    """The parts of a network in order, each with the options chosen in it.

    A part with more choices than fit a box is followed by a block for each of them, without costs.

    Example:
        >>> stages = [{"name": "stem", "choices": {}}, {"name": "body.0", "choices": {"b0": "a"}}]
        >>> [(b.name, b.option) for b in blocks({"stages": stages})]
        [('stem', ''), ('b0', 'a')]
    """
    parts: list[Block] = []
    shown: set[str] = set()
    for stage in winner.get("stages") or []:
        # A choice that several stages read is shown in the first of them.
        choices = {k: v for k, v in (stage.get("choices") or {}).items() if k not in shown}
        shown.update(choices)
        costs = stage.get("flops"), stage.get("params")
        if 0 < len(choices) <= FITTING:
            parts.append(Block(next(iter(choices)), tuple(choices.values()), *costs))
        else:
            parts.append(Block(stage["name"] or "network", (), *costs))
            parts += [Block(name, (option,), None, None) for name, option in choices.items()]
    return parts


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
        row = "fixed" if not block.options else _row(block.name)
        if not rows or rows[-1][0] != row:
            rows.append((row, []))
        rows[-1][1].append(
            _box(block, colours.get(next(iter(block.options), ""), "fixed"), total, largest)
        )
    chosen = [option for block in parts for option in block.options]
    legend = [(option, colours[option], chosen.count(option)) for option in options]
    return Drawing(rows, [entry for entry in legend if entry[2]], parts)


def _row(name: str) -> str:
    """The part of the network that a choice is in, by its name."""
    part, dot, _ = name.partition(".")
    return part if dot else "choices"


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
        words += f"\n{cost('flops', block.flops)} multiply-adds ({share})"
        words += f", {cost('params', block.params)} parameters"
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
