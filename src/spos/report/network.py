"""The network found, drawn block by block."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from spos.cost.cost import format_cost
from spos.report.result import ChoiceFacts, StageCosts

#: Colours of options; with more options than these the labels tell them apart.
COLOURS = 8
#: Most options that are written into one box.
BOX_OPTIONS = 3
_WIDTH, _HEIGHT, _BOX = 76, 70, 46


@dataclass(frozen=True)
class Block:
    """A block of the drawing.

    Args:
        name (str): name of the first choice, or of the stage without a choice.
        options (tuple[str, ...]): what was chosen.
        flops (int | None): multiply-adds; None where they are in another block.
        params (int | None): parameters; None where they are in another block.
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
    """A network to show: blocks drawn by row; option, colour and count; blocks for a table."""

    rows: list[tuple[str, list[Markup]]]
    legend: list[tuple[str, str, int]]
    blocks: list[Block]


def option_colours(choices: Sequence[ChoiceFacts]) -> dict[str, str]:
    """The colour class of each option of a space.

    Example:
        >>> option_colours([ChoiceFacts("a", ("3x3", "5x5")), ChoiceFacts("b", ("5x5", "skip"))])
        {'3x3': 'o0', '5x5': 'o1', 'skip': 'o2'}
    """
    options = dict.fromkeys(option for choice in choices for option in choice.options)
    return {option: f"o{number % COLOURS}" for number, option in enumerate(options)}


def network_blocks(stages: Sequence[StageCosts]) -> list[Block]:
    """The blocks of a network in order, each with the options chosen in it.

    A stage with more choices than a box holds is followed by a block for each of them, without
    costs.

    Example:
        >>> stages = [StageCosts("stem", {}, {}), StageCosts("body.0", {"b0": "a"}, {})]
        >>> [(block.name, block.option) for block in network_blocks(stages)]
        [('stem', ''), ('b0', 'a')]
    """
    blocks: list[Block] = []
    shown: set[str] = set()
    for stage in stages:
        # A choice that several stages read is shown in the first of them.
        choices = {name: one for name, one in stage.choices.items() if name not in shown}
        shown.update(choices)
        costs = stage.costs.get("flops"), stage.costs.get("params")
        if 0 < len(choices) <= BOX_OPTIONS:
            blocks.append(Block(next(iter(choices)), tuple(choices.values()), *costs))
        else:
            blocks.append(Block(stage.name or "network", (), *costs))
            blocks += [Block(name, (option,), None, None) for name, option in choices.items()]
    return blocks


def draw_network(stages: Sequence[StageCosts], choices: Sequence[ChoiceFacts]) -> Drawing:
    """Draw a network."""
    blocks, colours = network_blocks(stages), option_colours(choices)
    flops = [block.flops or 0 for block in blocks]
    rows: list[tuple[str, list[Markup]]] = []
    for block in blocks:
        row = row_name(block)
        if not rows or rows[-1][0] != row:
            rows.append((row, []))
        rows[-1][1].append(draw_box(block, colours, sum(flops), max(flops)))
    chosen = [option for block in blocks for option in block.options]
    legend = [(option, colours[option], chosen.count(option)) for option in colours]
    return Drawing(rows, [entry for entry in legend if entry[2]], blocks)


def row_name(block: Block) -> str:
    """The part of the network that a block is in, by the name of its choice."""
    part, dot, _ = block.name.partition(".")
    return (part if dot else "choices") if block.options else "fixed"


def draw_box(block: Block, colours: Mapping[str, str], total: int, largest: int) -> Markup:
    """Draw a block.

    Args:
        block (Block): the block.
        colours (Mapping[str, str]): colour class of each option.
        total (int): multiply-adds of its network.
        largest (int): multiply-adds of the costliest block in it.
    """
    colour = colours[block.options[0]] if block.options else "fixed"
    large, small = _label(block.option or block.name)
    words = f"{block.name}: {block.option}" if block.option else block.name
    parts = [element("rect", width=_WIDTH, height=_BOX, rx=6, class_=f"box {colour}")]
    middle = _WIDTH / 2
    if small:
        parts.append(element("text", large, x=middle, y=22, class_="kernel", text_anchor="middle"))
        parts.append(element("text", small, x=middle, y=37, class_="kind", text_anchor="middle"))
    else:
        parts.append(element("text", large, x=middle, y=27, class_="kind", text_anchor="middle"))
    if block.flops is not None and total:
        share = f"{block.flops / total:.1%}"
        words += f"\n{format_cost('flops', block.flops)} multiply-adds ({share})"
        if block.params is not None:
            words += f", {format_cost('params', block.params)} parameters"
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


def element(name: str, *content: str, **attributes: object) -> Markup:
    """One SVG element; underscores in attribute names stand for hyphens, a last one is dropped.

    Args:
        name (str): name of the element.
        *content (str): text, which is escaped, or other elements.
        **attributes (object): attributes; numbers are rounded to two decimals.

    Example:
        >>> element("text", "a < b", x=1.234, class_="tick")
        Markup('<text x="1.23" class="tick">a &lt; b</text>')
    """
    parts = [
        f' {key.rstrip("_").replace("_", "-")}="{escape(_number(value))}"'
        for key, value in attributes.items()
    ]
    inside = "".join(str(escape(part)) for part in content)
    return Markup(f"<{name}{''.join(parts)}>{inside}</{name}>")


def _number(value: object) -> object:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else value
