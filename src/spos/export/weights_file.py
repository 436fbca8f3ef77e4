"""Weights as safetensors, with the source of the network beside them."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, fx

from spos._util.errors import UserError
from spos.export.metadata import Metadata
from spos.export.runnable import Runnable
from spos.export.source import load_source
from spos.training.checkpoint import DamagedError, read_tensors, write_tensors


def write_weights(path: Path, graph: fx.GraphModule, metadata: Metadata) -> None:
    """Write the weights and statistics of a network, and its metadata in the header.

    Args:
        path: of the file.
        graph: from uint8 [N, C, S, S] to the outputs.
        metadata: written into the header.
    """
    write_tensors(path, graph.state_dict(), metadata.to_strings())


def read_weights(path: Path) -> tuple[Metadata, dict[str, Tensor]]:
    """Read a file of weights; nothing in it is executed.

    Raises:
        UserError: the file is damaged or none of ours.
    """
    try:
        tensors, strings = read_tensors(path)
    except DamagedError as error:
        raise UserError(f"{error}: it is no file of spos export, or damaged") from None
    return Metadata.from_strings(strings, path), tensors


def open_weights(path: Path, source: str) -> tuple[Metadata, Runnable]:
    """Put a file of weights into the network of a source that this process wrote.

    Raises:
        UserError: the file is damaged, or of another network.
    """
    metadata, tensors = read_weights(path)
    network = load_source(source)
    network.load_state_dict(tensors)

    def run(images: Tensor) -> Tensor:
        with torch.inference_mode():
            outputs: Tensor = network(images)
        return outputs

    return metadata, Runnable(run, f"torch {torch.__version__}")
