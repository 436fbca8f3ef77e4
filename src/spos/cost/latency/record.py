"""What a latency table holds: under which conditions, of which parts, and how it was fitted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.utils._pytree import tree_leaves

from spos.cost.part import Part


@dataclass(frozen=True)
class Runtime:
    """What networks run on and how.

    Args:
        backend: such as ``torch`` (:data:`spos.cost.latency.backend.BACKENDS`).
        accelerator: ``cpu`` or ``cuda``.
        device: the name of the processor or the card.
        threads: of one network.
        batch: images at once.
        channels_last: whether images and weights lie in memory with the channels last.
    """

    backend: str
    accelerator: str
    device: str
    threads: int
    batch: int
    channels_last: bool

    def __str__(self) -> str:
        layout = ", channels last" if self.channels_last else ""
        return (
            f"{self.backend} on {self.device}, {self.threads} "
            f"{'thread' if self.threads == 1 else 'threads'}, batch {self.batch}{layout}"
        )


@dataclass(frozen=True)
class PartKey:
    """Which part of a supernet was measured: parts that are alike have one key.

    Args:
        stage: the name of the first stage that is built like it.
        options: the names of the options of the choices that it reads.
        input: the shapes of its input for one image, such as ``1x16x32x32``.
    """

    stage: str
    options: tuple[str, ...]
    input: str

    def __str__(self) -> str:
        return f"stage '{self.stage}' with {', '.join(self.options) or 'no option'} on {self.input}"


@dataclass(frozen=True)
class PartLatency:
    """The latency of a part.

    Args:
        median: over the rounds, in nanoseconds for the whole batch.
        spread: the interquartile range over the rounds, in nanoseconds.
        runs: how often it ran.
        nothing: whether nothing is computed, as by a skipped layer; its median is 0.
    """

    median: int
    spread: int
    runs: int
    nothing: bool = False


@dataclass(frozen=True)
class Fit:
    """What a network takes beside its parts, in nanoseconds.

    Args:
        intercept: once.
        boundary: for each part that computes something; below 0 where a part alone has an overhead
            that it has not in a network.
        networks: on how many measured networks it was fitted; 0 where it was not.
    """

    intercept: int = 0
    boundary: int = 0
    networks: int = 0


def part_key(part: Part) -> PartKey:
    """The key of a part."""
    space = part.supernet.space
    names = tuple(
        space.choices[place].options[option]
        for place, option in zip(part.stage.choices, part.options, strict=True)
    )
    return PartKey(part.supernet.stages[part.kind].name, names, shapes_of(part.value))


def shapes_of(value: Any) -> str:
    """The shapes of the tensors in a value.

    Example:
        >>> import torch
        >>> shapes_of((torch.zeros(1, 3, 8, 8), torch.zeros(1, 5)))
        '1x3x8x8+1x5'
    """
    leaves = [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]
    return "+".join("x".join(map(str, leaf.shape)) for leaf in leaves)
