"""Formats of exported networks: how each is checked, written and opened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import fx

from spos._util.errors import UserError, nearest
from spos.cost.latency.onnx_session import NEEDED
from spos.export.metadata import Metadata, OpenedNetwork
from spos.export.onnx_file import check_onnx, open_onnx, write_onnx
from spos.export.program_file import open_program, write_program
from spos.export.weights_file import check_module_name, open_weights, write_weights


@dataclass(frozen=True)
class Format:
    """A file format.

    Args:
        name (str): name of the format.
        suffix (str): suffix of its files.
        packages (tuple[str, ...]): packages that write and check it, whose versions are stored.
        write (Callable): writes the file, and what belongs to it beside it; the last argument is
            whether batch norms are folded.
        open (Callable): opens a file that this process wrote.
        check (Callable): refuses a file name, or a machine without what writing needs.
    """

    name: str
    suffix: str
    packages: tuple[str, ...]
    write: Callable[[Path, fx.GraphModule, Metadata, bool], None]
    open: Callable[[Path], OpenedNetwork]
    check: Callable[[Path], None] = lambda path: None


FORMATS = {
    form.name: form
    for form in (
        Format("onnx", ".onnx", ("torch", *NEEDED), write_onnx, open_onnx, check_onnx),
        Format("torch-export", ".pt2", ("torch",), write_program, open_program),
        Format(
            "state-dict",
            ".safetensors",
            ("torch", "safetensors"),
            write_weights,
            open_weights,
            check_module_name,
        ),
    )
}
"""Formats by name."""


def find_format(name: str) -> Format:
    """A format by name.

    Raises:
        UserError: the format is unknown.

    Example:
        >>> find_format("onxx")
        Traceback (most recent call last):
        ...
        spos.UserError: --format onxx: did you mean 'onnx'? allowed: onnx, torch-export, \
state-dict
    """
    if name not in FORMATS:
        raise UserError(f"--format {name}: {nearest(name, FORMATS)}")
    return FORMATS[name]
