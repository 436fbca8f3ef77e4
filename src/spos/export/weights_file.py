"""Weights as safetensors, with the source of the network beside them."""

from __future__ import annotations

import keyword
import sys
from pathlib import Path

import torch
from torch import Tensor, fx

from spos._util.errors import UserError
from spos.export.metadata import Metadata, OpenedNetwork
from spos.export.source import is_ours, load_source, python_source
from spos.training.checkpoint import DamagedError, read_tensors, write_tensors

IMPORTED = ("numpy", "torch", "PIL", "safetensors", "spos")
"""Modules that the code of the model card imports beside the source of the network."""


def check_module_name(path: Path) -> None:
    """Check that the source beside a file can be imported, and replaces no file of the user's.

    Raises:
        UserError: the name is not that of a new module, or another source is in its place.
    """
    valid = "".join(c if c.isidentifier() or c.isdigit() else "_" for c in path.stem)
    valid = valid if valid.isidentifier() else f"_{valid}"
    # A module of such a name would hide the one that the source or its user imports.
    if keyword.iskeyword(valid) or valid in (*sys.stdlib_module_names, *IMPORTED):
        valid = f"{valid}_network"
    if valid != path.stem:
        raise UserError(
            f"--out {path}: the source beside it is a Python module, whose name must be an "
            f"identifier and not that of another module; nearest valid: "
            f"{path.with_name(valid + path.suffix)}"
        )
    source = path.with_suffix(".py")
    if source.exists() and not is_ours(source):
        raise UserError(
            f"--out {path}: the source of the network would replace {source}, which spos did not "
            "write; give another name"
        )


def write_weights(path: Path, graph: fx.GraphModule, metadata: Metadata, fold: bool) -> None:
    """Write the weights with the metadata in the header, and the source beside them."""
    path.with_suffix(".py").write_text(python_source(graph, metadata, path.name), encoding="utf-8")
    write_tensors(path, graph.state_dict(), metadata.to_strings())


def read_weights(path: Path) -> tuple[Metadata, dict[str, Tensor]]:
    """Read a file of weights; nothing in it is executed.

    Raises:
        UserError: the file is damaged, or was not written by spos.
    """
    try:
        tensors, strings = read_tensors(path)
    except DamagedError as error:
        raise UserError(f"{error}: not a file of spos export, or damaged") from None
    return Metadata.from_strings(strings, path), tensors


def open_weights(path: Path) -> OpenedNetwork:
    """Open a file that this process wrote: the source beside it is executed.

    Raises:
        UserError: the file is damaged.
    """
    metadata, tensors = read_weights(path)
    network = load_source(path.with_suffix(".py").read_text(encoding="utf-8"))
    network.load_state_dict(tensors)
    run = torch.inference_mode()(network.__call__)
    return OpenedNetwork(metadata, run, f"torch {torch.__version__}")
