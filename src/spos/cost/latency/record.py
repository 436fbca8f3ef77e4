"""Records of a latency table: runtime, parts, latencies and fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import NonNegativeInt
from torch import Tensor
from torch.utils._pytree import tree_leaves

from spos.cost.part import Part


@dataclass(frozen=True)
class Runtime:
    """The backend, device and settings with which networks run.

    Args:
        backend (str): one of :data:`spos.cost.latency.backend.BACKENDS`.
        accelerator (str): ``cpu`` or ``cuda``.
        device (str): name of the CPU or GPU.
        threads (int): number of CPU threads, at least 1.
        batch (int): images per batch, at least 1.
        channels_last (bool): whether images and weights use the channels-last memory format.
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
    """Key of a part of a supernet; identical parts have the same key.

    Args:
        stage (str): name of the first stage that is identical to the part's stage.
        options (tuple[str, ...]): option names of the choices that the stage reads.
        input (str): shapes of the input for one image, such as ``1x16x32x32``.
    """

    stage: str
    options: tuple[str, ...]
    input: str

    def __str__(self) -> str:
        return f"stage '{self.stage}' with {', '.join(self.options) or 'no option'} on {self.input}"


@dataclass(frozen=True)
class PartLatency:
    """Measured latency of a part.

    Args:
        median (int): median over the rounds for the whole batch, in nanoseconds.
        spread (int): interquartile range over the rounds, in nanoseconds.
        runs (int): number of runs.
        nothing (bool): whether the part computes nothing, such as a skipped layer; its median is 0.
    """

    median: NonNegativeInt
    spread: NonNegativeInt
    runs: int
    nothing: bool = False


@dataclass(frozen=True)
class Fit:
    """The fitted time that a network takes in addition to its parts.

    Args:
        intercept (int): time per network, in nanoseconds.
        boundary (int): time per part that computes something, in nanoseconds; negative if a part on
            its own has an overhead that it does not have in a network.
        networks (int): number of measured networks in the fit; 0 without a fit.
    """

    intercept: int = 0
    boundary: int = 0
    networks: int = 0


def part_key(part: Part) -> PartKey:
    """Return the key of a part."""
    space = part.supernet.space
    names = tuple(
        space.choices[place].options[option]
        for place, option in zip(part.stage.choices, part.options, strict=True)
    )
    return PartKey(part.supernet.stages[part.first_identical].name, names, shapes_of(part.value))


def shapes_of(value: Any) -> str:
    """Return the shapes of the tensors of a value as text.

    Example:
        >>> import torch
        >>> shapes_of((torch.zeros(1, 3, 8, 8), torch.zeros(1, 5)))
        '1x3x8x8+1x5'
    """
    leaves = [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]
    return "+".join("x".join(map(str, leaf.shape)) for leaf in leaves)
