"""Files of torch.export (.pt2): a program of torch's operations with its weights."""

from __future__ import annotations

import io
import json
import logging
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import fx

from spos._util.archives import find_damage
from spos._util.errors import UserError
from spos._util.files import parse_json, write_atomically
from spos.export.metadata import INPUT, Metadata, OpenedNetwork, reason

_EXTRA = "spos.json"


def write_program(path: Path, graph: fx.GraphModule, metadata: Metadata, fold: bool) -> None:
    """Write a network and its metadata as a program of torch.export for any number of images.

    Raises:
        OSError: the file cannot be written.
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
            # In memory: torch aborts the process when it writes to a full disk.
            content = io.BytesIO()
            torch.export.save(program, content, extra_files={_EXTRA: strings})
    except Exception as error:
        raise UserError(
            f"--format torch-export: torch.export refuses the network ({reason(error)})"
        ) from error
    write_atomically(path, content.getvalue())


def read_program_metadata(path: Path) -> Metadata:
    """Read the metadata of a file; nothing in it is executed.

    Raises:
        UserError: the file is damaged, or was not written by spos.
    """
    try:
        # torch does not look: altered weights would pass for good ones.
        damaged = find_damage(path)
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(f"/extra/{_EXTRA}")]
            strings = parse_json(archive.read(names[0]).decode()) if names and not damaged else {}
    except Exception as error:
        # Those of files have their names; of damaged archives, zipfile raises whatever Python does.
        if isinstance(error, OSError) and error.filename:
            raise
        raise UserError(
            f"{path} is not a file of torch.export, or damaged ({reason(error)})"
        ) from None
    if damaged:
        raise UserError(f"{path} is damaged: {damaged}")
    return Metadata.from_strings(strings, path)


def open_program(path: Path) -> OpenedNetwork:
    """Open a file of your own. A file of somebody else may run any code here.

    ``torch.export.load`` unpickles what the archive calls pickled, and evaluates the expressions of
    its shapes as Python.

    Raises:
        UserError: the file is damaged, or was not written by spos.
    """
    metadata = read_program_metadata(path)
    with _logged() as logged:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                module = torch.export.load(path).module()
        except Exception as error:
            raise UserError(f"{path} is damaged ({reason([*logged, error][0])})") from error
    run = torch.inference_mode()(module.__call__)
    return OpenedNetwork(metadata, run, f"torch {torch.__version__}")


@contextmanager
def _logged() -> Iterator[list[BaseException]]:
    """What torch.export logs, with its traceback, before it raises an error that says less."""
    logger, errors = logging.getLogger("torch.export"), list[BaseException]()

    def keep(record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        errors.extend([error] if error else [])
        return False

    logger.addFilter(keep)
    try:
        yield errors
    finally:
        logger.removeFilter(keep)
