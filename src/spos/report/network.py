"""The network found, block by block; ``block.html.j2`` draws them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from spos.report.facts import ChoiceFacts
from spos.report.result import StageCosts

#: Colours of options; with more options than these the labels tell them apart.
COLOURS = 8
#: Most options that are written into one box.
BOX_OPTIONS = 3


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

    @property
    def row(self) -> str:
        """The part of the network that the block is in, by the name of its choice."""
        part, dot, _ = self.name.partition(".")
        return (part if dot else "choices") if self.options else "fixed"

    @property
    def label(self) -> tuple[str, str]:
        """The kernel of the option and its kind, or as much of its name as fits.

        Example:
            >>> Block("a", ("shuffle3x3",), 1, 1).label, Block("stem", (), 1, 1).label
            (('3×3', 'shuffle'), ('stem', ''))
        """
        name = self.option or self.name
        match = re.fullmatch(r"(.+?)[_\-.]?(\d+)x(\d+)", name)
        kind = match[1] if match else name
        kind = kind if len(kind) <= 12 else kind[:11] + "…"
        return (f"{match[2]}×{match[3]}", kind) if match else (kind, "")


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
