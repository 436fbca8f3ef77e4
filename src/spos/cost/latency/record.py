"""Records of a latency table, and its file: runtime, parts, latencies and fit."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeInt
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from spos._util.errors import UserError
from spos._util.records import from_plain, to_plain
from spos.cost.part import Part

#: No batch, input or output is larger; torch raises anything where one is.
LARGEST = 10**9
Size = Annotated[int, Field(gt=0, le=LARGEST)]


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
    threads: Annotated[int, Field(gt=0, le=1024)]
    batch: Size
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
        weights (str): digest of the shapes of its weights (:func:`weights_of`); empty in tables of
            former versions.
    """

    median: NonNegativeInt
    spread: NonNegativeInt
    runs: int
    nothing: bool = False
    weights: str = ""


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
    chosen = zip(part.stage.choices, part.options, strict=True)
    names = tuple(space.choices[place].options[option] for place, option in chosen)
    return PartKey(part.supernet.stages[part.first_identical].name, names, shapes_of(part.value))


def weights_of(network: nn.Module) -> str:
    """Return a digest of the shapes of the weights of a part.

    Options of two models may have the same names and inputs, and be other modules.
    """
    shapes = shapes_of([*network.parameters()])
    return hashlib.sha256(shapes.encode()).hexdigest()[:12]


def shapes_of(value: Any) -> str:
    """Return the shapes of the tensors of a value as text.

    Example:
        >>> import torch
        >>> shapes_of((torch.zeros(1, 3, 8, 8), torch.zeros(1, 5)))
        '1x3x8x8+1x5'
    """
    leaves = [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]
    return "+".join("x".join(map(str, leaf.shape)) for leaf in leaves)


#: Version of the file format; this release refuses later versions.
FORMAT = 1
#: Identifies the file as a latency table.
KIND = "spos latency table"


@dataclass(frozen=True)
class _Part:
    key: PartKey
    latency: PartLatency


@dataclass(frozen=True)
class Measured:
    """What was measured, and how: what a table and its file have in common."""

    space: str
    preset: str
    layout: Mapping[str, Any]
    input_shape: Annotated[tuple[Size, ...], Field(min_length=1)]
    outputs: Size
    runtime: Runtime
    versions: Mapping[str, str]
    date: str


@dataclass(frozen=True)
class _Stored(Measured):
    fit: Fit
    parts: tuple[_Part, ...]
    unit: Literal["ns"]


def as_stored(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Convert the fields of a :class:`spos.cost.latency.LatencyTable` to JSON types."""
    parts = tuple(_Part(key, latency) for key, latency in fields["parts"].items())
    stored: dict[str, Any] = {"kind": KIND, "format": FORMAT}
    for name, value in to_plain(_Stored(**{**fields, "unit": "ns", "parts": parts})).items():
        stored |= {"unit": "ns", **value} if name == "runtime" else {name: value}
    stored["parts"] = [{**part["key"], **part["latency"]} for part in stored["parts"]]
    return stored


def from_stored(stored: Any, path: str) -> dict[str, Any]:
    """Convert the content of a file to the fields of a :class:`spos.cost.latency.LatencyTable`.

    Raises:
        UserError: the content is not a latency table, is damaged, or has a newer format.
    """
    if not isinstance(stored, Mapping) or stored.get("kind") != KIND:
        raise UserError(f"{path} is not a latency table: spos latency writes one")
    version = stored.get("format")
    if type(version) is not int or version < 1:
        raise UserError(f"{path} is damaged: format {version!r}")
    if version > FORMAT:
        raise UserError(
            f"{path} has format {version} of a newer spos; this one reads up to {FORMAT}"
        )
    parts = stored.get("parts")
    if isinstance(parts, list):
        parts = [{"key": part, "latency": part} for part in parts]
    plain = {**stored, "runtime": stored, "parts": parts}
    advice = "restore it, or measure again with spos latency"
    content = from_plain(_Stored, plain, path, advice)
    found = {part.key: part.latency for part in content.parts}
    if len(found) < len(content.parts):
        raise UserError(f"{path} is damaged (a part is listed twice): {advice}")
    return {name: value for name, value in vars(content).items() if name != "unit"} | {
        "parts": found
    }
