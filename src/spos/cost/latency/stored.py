"""Latency tables as JSON: the layout of the file, which differs from that of the record."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveInt

from spos._util.errors import UserError
from spos._util.records import from_plain
from spos.cost.latency.record import Fit, PartKey, PartLatency, Runtime

#: Version of the file format; this release refuses later versions.
FORMAT = 1
#: Identifies the file as a latency table.
KIND = "spos latency table"
#: Unit of all latencies.
UNIT = "ns"


@dataclass(frozen=True)
class _Part:
    key: PartKey
    latency: PartLatency


@dataclass(frozen=True)
class _Content:
    space: str
    preset: str
    layout: dict[str, Any]
    input_shape: Annotated[tuple[PositiveInt, ...], Field(min_length=1)]
    outputs: PositiveInt
    unit: Literal["ns"]
    runtime: Runtime
    versions: dict[str, str]
    date: str
    fit: Fit
    parts: tuple[_Part, ...]


def as_stored(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Convert the fields of a :class:`spos.cost.latency.LatencyTable` to JSON types."""
    return {
        "kind": KIND,
        "format": FORMAT,
        "space": fields["space"],
        "preset": fields["preset"],
        "layout": dict(fields["layout"]),
        "input_shape": list(fields["input_shape"]),
        "outputs": fields["outputs"],
        "unit": UNIT,
        **dataclasses.asdict(fields["runtime"]),
        "versions": dict(fields["versions"]),
        "date": fields["date"],
        "fit": dataclasses.asdict(fields["fit"]),
        "parts": [
            {**vars(key), "options": list(key.options), **dataclasses.asdict(found)}
            for key, found in fields["parts"].items()
        ],
    }


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
    content = vars(from_plain(_Content, plain, path, advice)).copy()
    found = {part.key: part.latency for part in content["parts"]}
    if len(found) < len(content["parts"]):
        raise UserError(f"{path} is damaged (a part is listed twice): {advice}")
    del content["unit"]
    return {**content, "parts": found}
