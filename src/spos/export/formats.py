"""The formats of exported networks: how each is written, and opened again."""

from __future__ import annotations

import keyword
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import fx

from spos._util.errors import UserError, nearest
from spos.export.metadata import Metadata
from spos.export.onnx_file import open_onnx, require_exporter, write_onnx
from spos.export.program_file import open_program, write_program
from spos.export.runnable import Runnable
from spos.export.source import is_ours, python_source
from spos.export.weights_file import open_weights, write_weights

#: What the model card imports beside the source of a network.
IMPORTED = ("numpy", "torch", "PIL", "safetensors", "spos")


@dataclass(frozen=True)
class Format:
    """A kind of file.

    Args:
        name: of the format.
        suffix: that its files end in.
        write: writes the file, and whatever else belongs to it beside it; the last argument is
            whether batch norms are folded.
        open: opens a file that this process wrote.
        check: refuses a file name, or a machine that lacks what writing needs.
    """

    name: str
    suffix: str
    write: Callable[[Path, fx.GraphModule, Metadata, bool], None]
    open: Callable[[Path], tuple[Metadata, Runnable]]
    check: Callable[[Path], None]


def _write_onnx(path: Path, graph: fx.GraphModule, metadata: Metadata, fold: bool) -> None:
    write_onnx(path, graph, metadata, fold=fold)


def _check_onnx(path: Path) -> None:
    require_exporter()


def _write_program(path: Path, graph: fx.GraphModule, metadata: Metadata, fold: bool) -> None:
    write_program(path, graph, metadata)


def _check_program(path: Path) -> None:
    """Nothing is needed but torch."""


def _write_weights(path: Path, graph: fx.GraphModule, metadata: Metadata, fold: bool) -> None:
    source = python_source(
        graph,
        title=metadata.architecture,
        version=metadata.spos,
        weights=path.name,
        channels=metadata.channels,
        side=metadata.image_size,
    )
    path.with_suffix(".py").write_text(source, encoding="utf-8")
    write_weights(path, graph, metadata)


def _open_weights(path: Path) -> tuple[Metadata, Runnable]:
    return open_weights(path, path.with_suffix(".py").read_text(encoding="utf-8"))


def _check_weights(path: Path) -> None:
    valid = "".join(c if c.isidentifier() or c.isdigit() else "_" for c in path.stem)
    valid = valid if valid.isidentifier() else f"_{valid}"
    # A module of such a name would hide the one that the source or its user imports.
    if keyword.iskeyword(valid) or valid in (*sys.stdlib_module_names, *IMPORTED):
        valid = f"{valid}_network"
    if valid != path.stem:
        raise UserError(
            f"--out {path}: the source beside it is a module of Python, whose name is an "
            f"identifier and no module's yet; nearest valid: {path.with_name(valid + path.suffix)}"
        )
    source = path.with_suffix(".py")
    if source.exists() and not is_ours(source):
        raise UserError(
            f"--out {path}: the source of the network would replace {source}, which spos has not "
            "written; give another name"
        )


#: By name.
FORMATS = {
    form.name: form
    for form in (
        Format("onnx", ".onnx", _write_onnx, open_onnx, _check_onnx),
        Format("torch-export", ".pt2", _write_program, open_program, _check_program),
        Format("state-dict", ".safetensors", _write_weights, _open_weights, _check_weights),
    )
}


def find_format(name: str) -> Format:
    """A format by name.

    Raises:
        UserError: there is none of this name.

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
