"""Files of torch.export (.pt2): a program of torch's operations with its weights."""

from __future__ import annotations

import json
import warnings
import zipfile
from pathlib import Path

import torch
from torch import Tensor, fx

from spos._util.errors import UserError
from spos.export.metadata import INPUT, Metadata
from spos.export.runnable import Runnable

#: Where the metadata lies in the archive.
_EXTRA = "spos.json"


def write_program(path: Path, graph: fx.GraphModule, metadata: Metadata) -> None:
    """Write a network and its metadata as a program of torch.export for any number of images.

    Args:
        path: of the file; its name has to end in .pt2.
        graph: from uint8 [N, C, S, S] to the outputs.
        metadata: written into the archive.

    Raises:
        UserError: torch.export refuses the network.
    """
    side = metadata.image_size
    example = torch.zeros(2, metadata.channels, side, side, dtype=torch.uint8)
    batch = torch.export.Dim("batch")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.export.export(graph, (example,), dynamic_shapes={INPUT: {0: batch}})
            strings = json.dumps(metadata.to_strings())
            torch.export.save(program, path, extra_files={_EXTRA: strings})
    except OSError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"--format torch-export: torch.export refuses the network ({reason})"
        ) from error


def read_program_metadata(path: Path) -> Metadata:
    """Read the metadata of a file; nothing in it is executed.

    Raises:
        UserError: the file is damaged or none of ours.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
            if damaged is not None:
                raise UserError(f"{path} is damaged: {damaged} in it is not what was written")
            names = [name for name in archive.namelist() if name.endswith(f"/extra/{_EXTRA}")]
            strings = json.loads(archive.read(names[0])) if names else {}
    except (zipfile.BadZipFile, ValueError, EOFError) as error:
        raise UserError(
            f"{path} is no file of torch.export, or damaged ({' '.join(str(error).split())})"
        ) from None
    if not isinstance(strings, dict):
        raise UserError(f"{path} is damaged: its metadata is no mapping")
    return Metadata.from_strings(strings, path)


def open_program(path: Path) -> tuple[Metadata, Runnable]:
    """Open a file of one's own. A file of somebody else may run any code here.

    ``torch.export.load`` unpickles what the archive calls pickled, and evaluates the expressions of
    its shapes as Python.

    Raises:
        UserError: the file is damaged or none of ours.
    """
    metadata = read_program_metadata(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = torch.export.load(path).module()
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path} is damaged ({reason})") from error

    def run(images: Tensor) -> Tensor:
        with torch.inference_mode():
            outputs: Tensor = module(images)
        return outputs

    return metadata, Runnable(run, f"torch {torch.__version__}")
