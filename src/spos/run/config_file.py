"""The file of the configuration of a run, with a digest of what was written to it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from spos._util.files import read_text, write_atomically

#: Begins the last line, which YAML takes for a comment.
_MARK = "# digest: "


def write_config_file(path: Path, content: Mapping[str, Any], run: str = "") -> None:
    """Write the configuration of a run as YAML, atomically.

    Args:
        path (Path): file to write.
        content (Mapping): settings by section.
        run (str): the run, as its outcomes name it; empty before it is known.
    """
    text = yaml.safe_dump(dict(content), sort_keys=False, default_flow_style=None, width=100)
    write_atomically(path, f"{text}{_MARK}{_digest(text, run)}\n")


def read_config_file(path: Path, run: str = "") -> str:
    """Read the settings that :func:`write_config_file` wrote, as YAML.

    A file without its last line is not checked: former versions wrote none, and without it a change
    of one's own is kept.

    Args:
        path (Path): file to read.
        run (str): the run that the directory is of; empty if that is not known.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not a regular file, or does not hold what was written to it.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "config.yaml"
        >>> write_config_file(path, {"run": {"seed": 0}}, "a1")
        >>> read_config_file(path, "a1")
        'run: {seed: 0}\\n'
        >>> read_config_file(path, "b2")
        Traceback (most recent call last):
        ...
        ValueError: its digest differs: it does not hold what was written to it, or is of another \
run; restore it, or remove its last line to keep a change of your own
    """
    *lines, last = read_text(path).splitlines(keepends=True) or [""]
    if not last.startswith(_MARK):
        return "".join([*lines, last])
    text, digest = "".join(lines), last.removeprefix(_MARK).strip()
    # An imported supernet knows no images yet, and so no run.
    if run and digest not in (_digest(text, run), _digest(text, "")):
        raise ValueError(
            "its digest differs: it does not hold what was written to it, or is of another run; "
            "restore it, or remove its last line to keep a change of your own"
        )
    return text


def _digest(text: str, run: str) -> str:
    return hashlib.sha256(f"{run}\n{text}".encode()).hexdigest()
