"""Typed records as JSON files: written whole, and validated when they are read."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from spos._util.errors import UserError
from spos._util.files import read_json, read_own, write_json
from spos._util.text import all_printable

Record = TypeVar("Record")

#: Version of the formats of records. A file of a newer one is refused, an older one is upgraded.
FORMAT = 2
#: File of a run directory with what the run was started with, by which the others belong to it.
START_FILE = "data.json"


# Making one takes a while.
_adapter: Callable[[Any], TypeAdapter[Any]] = cache(TypeAdapter)


def to_plain(record: Any) -> dict[str, Any]:
    """A record as values that JSON holds.

    Example:
        >>> from dataclasses import dataclass
        >>> @dataclass(frozen=True)
        ... class Point:
        ...     at: tuple[int, ...]
        >>> to_plain(Point((1, 2)))
        {'at': [1, 2]}
    """
    plain: dict[str, Any] = _adapter(type(record)).dump_python(record, mode="json")
    return plain


def from_plain(
    kind: type[Record], plain: Any, name: str, advice: str, *, safe: bool = False
) -> Record:
    """A record from values that JSON held; fields that it does not know are left out.

    Args:
        kind (type[Record]): dataclass to make.
        plain (Any): values as JSON gives them.
        name (str): what to call the values in an error, such as the path of their file.
        advice (str): what the user can do where they are damaged.
        safe (bool): whether its texts are made safe to print, whoever wrote them.

    Raises:
        UserError: a field is missing or of another type.
    """
    try:
        # By way of JSON text, so that a list is read as the tuple that it was.
        text = json.dumps(all_printable(plain) if safe else plain)
        record: Record = _adapter(kind).validate_json(text, strict=True)
    except (ValidationError, ValueError, RecursionError) as error:
        raise UserError(f"{name} is damaged ({_first(error)}): {advice}") from error
    return record


def _first(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return " ".join(str(error).split())[:200]
    first = error.errors(include_url=False)[0]
    place = ".".join(map(str, first["loc"]))
    said, given = first["msg"], f", not {first['input']!r:.60}"
    if first["type"] == "value_error":
        # The record's own check, whose message names what is wrong in it.
        said, given = first["ctx"]["error"], ""
    elif first["type"] == "missing":
        given = ""
    return f"{place}: {said}{given}".removeprefix(": ")[:200]


def write_record(path: Path, record: Any) -> None:
    """Write a record as JSON, atomically, with the version of its format."""
    write_json(path, {"format": FORMAT, **to_plain(record)})


def read_record(
    kind: type[Record],
    path: Path,
    *,
    advice: str = "restore it, or give another --out",
    upgrade: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
) -> Record:
    """Read a record that :func:`write_record` wrote; its texts are safe to print.

    Args:
        kind (type[Record]): dataclass to read.
        path (Path): file to read.
        advice (str): what the user can do where the file is damaged.
        upgrade (Callable | None): turns the content of a file without a version into today's.

    Raises:
        UserError: the file is missing, damaged, or of a newer version.
    """
    plain = read_own(path, advice)
    version = plain.pop("format", None)
    if version is None:
        try:
            plain = upgrade(plain) if upgrade else plain
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise UserError(f"{path} is damaged ({error!r}): {advice}") from error
    elif type(version) is not int or version < 1:
        raise UserError(f"{path} is damaged (format {version!r}): {advice}")
    elif version > FORMAT:
        raise UserError(
            f"{path} has format {version} of a newer spos; this one reads up to {FORMAT}"
        )
    return from_plain(kind, plain, str(path), advice, safe=True)


def check_same_run(path: Path, run: str, advice: str) -> None:
    """Check that a file of a run directory is of the run that is there.

    Args:
        path (Path): the file; beside it is the start of a run, or not.
        run (str): the run that it says it is of; empty where it says none.
        advice (str): what the user can do where it is of another one.

    Raises:
        UserError: it is of another run.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> write_json(folder / "data.json", {"run": "a1"})
        >>> check_same_run(folder / "result.json", "a1", "make it again")
    """
    there = run_of(path.parent)
    if run and there and run != there:
        raise UserError(f"{path} is of another run than {path.with_name(START_FILE)}: {advice}")


def run_of(folder: Path) -> str:
    """The run that a directory is of, as its outcomes name it; empty if that cannot be read."""
    try:
        started = read_json(folder / START_FILE)
    except (OSError, ValueError):
        return ""
    run = started.get("run") if isinstance(started, dict) else None
    return run if isinstance(run, str) else ""
