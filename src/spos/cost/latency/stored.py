"""Conversion of latency tables to and from JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from spos._util.errors import UserError
from spos.cost.latency.record import Fit, PartKey, PartLatency, Runtime

#: Version of the file format; this release refuses later versions.
FORMAT = 1
#: Identifies the file as a latency table.
KIND = "spos latency table"
#: Unit of all latencies.
UNIT = "ns"


def as_stored(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Convert the fields of a table to JSON types.

    Args:
        fields (Mapping[str, Any]): fields of a :class:`spos.cost.latency.LatencyTable` by name.
    """
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
            {**_listed(key), **dataclasses.asdict(found)} for key, found in fields["parts"].items()
        ],
    }


def from_stored(stored: Any, path: str) -> dict[str, Any]:
    """Convert the content of a file to the fields of a table.

    Args:
        stored (Any): parsed JSON.
        path (str): path of the file, for error messages.

    Returns:
        The arguments of :class:`spos.cost.latency.LatencyTable` by name.

    Raises:
        UserError: the content is not a latency table, is damaged, or has a newer format.
    """
    if not isinstance(stored, Mapping) or stored.get("kind") != KIND:
        raise UserError(f"{path} is not a latency table: spos latency writes one")
    if type(stored.get("format")) is not int or stored["format"] < 1:
        raise UserError(f"{path} is damaged: format {stored.get('format')!r}")
    if stored["format"] > FORMAT:
        raise UserError(
            f"{path} has format {stored['format']} of a newer spos; this one reads up to {FORMAT}"
        )
    try:
        parts = {
            PartKey(
                _is(part["stage"], str),
                tuple(_is(option, str) for option in part["options"]),
                _is(part["input"], str),
            ): _record(PartLatency, part)
            for part in _is(stored["parts"], list)
        }
        if any(found.median < 0 or found.spread < 0 for found in parts.values()):
            raise ValueError("a latency below 0")
        if len(parts) < len(stored["parts"]):
            raise ValueError("a part is listed twice")
        if stored["unit"] != UNIT:
            raise ValueError(f"unit {stored['unit']!r}, allowed is {UNIT}")
        shape = tuple(_is(size, int) for size in stored["input_shape"])
        if not shape or min(*shape, _is(stored["outputs"], int)) < 1:
            raise ValueError(f"input_shape {list(shape)} and outputs {stored['outputs']}")
        return {
            **{name: _is(stored[name], str) for name in ("space", "preset", "date")},
            "layout": _is(stored["layout"], dict),
            "versions": _is(stored["versions"], dict),
            "input_shape": shape,
            "outputs": stored["outputs"],
            "runtime": _record(Runtime, stored),
            "fit": _record(Fit, stored["fit"]),
            "parts": parts,
        }
    except KeyError as error:
        raise UserError(f"{path} is damaged: it lacks {error}") from error
    except (TypeError, ValueError) as error:
        raise UserError(f"{path} is damaged: {error}") from error


def _listed(key: PartKey) -> dict[str, Any]:
    return {"stage": key.stage, "options": list(key.options), "input": key.input}


def _record(kind: Any, values: Any) -> Any:
    types = {"str": str, "int": int, "bool": bool}
    fields = dataclasses.fields(kind)
    return kind(**{f.name: _is(values[f.name], types[str(f.type)]) for f in fields})


def _is(value: Any, kind: type) -> Any:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ValueError(f"{value!r} is not of type {kind.__name__}")
    return value
