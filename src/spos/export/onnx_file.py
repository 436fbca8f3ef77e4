"""ONNX files: written by torch's exporter, read and run by onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx

from spos._util.errors import UserError
from spos._util.interrupt import interruptible
from spos.cost.latency.onnx_session import open_session, quiet_exporter, require_onnx
from spos.export.metadata import INPUT, OUTPUT, Metadata, OpenedNetwork, reason

OPSET = 20
"""Version of the ONNX operators, read by onnxruntime from 1.17 on."""
LARGEST = (2 << 30) - 1
"""Bytes of the largest file."""


def check_onnx(path: Path) -> None:
    """Check that the packages that write, check and run ONNX files are installed.

    Raises:
        UserError: a package is not installed.
    """
    require_onnx("--format onnx")


def write_onnx(path: Path, graph: fx.GraphModule, metadata: Metadata, fold: bool) -> None:
    """Write a network and its metadata as one ONNX file that takes any number of images.

    Args:
        path (Path): file to write.
        graph (fx.GraphModule): from images, uint8, shape (N, C, S, S), to outputs.
        metadata (Metadata): written into the file.
        fold (bool): whether the exporter may rewrite the graph, which folds batch norms into
            convolutions; otherwise only constants are folded.

    Raises:
        UserError: the exporter does not support an operation of the network.
    """
    import onnxscript.optimizer

    side = metadata.image_size
    example = torch.zeros(2, metadata.channels, side, side, dtype=torch.uint8)
    with quiet_exporter():
        try:
            program: Any = torch.onnx.export(
                graph,
                (example,),
                dynamo=True,
                verbose=False,
                opset_version=OPSET,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes={INPUT: {0: torch.export.Dim("batch")}},
                optimize=fold,
            )
        except Exception as error:
            raise UserError(
                f"--format onnx: torch.onnx.export refuses the network "
                f"({reason(error.__cause__ or error)})"
            ) from error
        if not fold:
            onnxscript.optimizer.fold_constants(program.model)
            onnxscript.optimizer.remove_unused_nodes(program.model)
    program.model.metadata_props.update(metadata.to_strings())
    program.save(path, external_data=False)


def open_onnx(path: Path) -> OpenedNetwork:
    """Open an ONNX file on one thread of the CPU; only its operators are executed.

    Raises:
        UserError: onnxruntime is not installed, or the file is damaged or was not written by spos.
    """
    require_onnx(str(path), ["onnxruntime"])
    import onnxruntime

    # What is larger is no message of its format, and would fill the memory.
    if path.stat().st_size > LARGEST:
        raise UserError(f"{path} is not an ONNX file: it has more than 2 GiB")
    content = path.read_bytes()
    try:
        session = interruptible(lambda: open_session(content))
    except Exception as error:
        # onnxruntime has an exception for each of its codes, without a common class.
        raise UserError(f"{path} is not an ONNX file, or damaged ({reason(error)})") from error
    metadata = Metadata.from_strings(session.get_modelmeta().custom_metadata_map, path)
    _check_interface(path, session, metadata)

    def run(images: Tensor) -> Tensor:
        (outputs,) = session.run([OUTPUT], {INPUT: images.numpy()})
        return torch.from_numpy(outputs)

    return OpenedNetwork(metadata, run, f"onnxruntime {onnxruntime.__version__}")


def _check_interface(path: Path, session: Any, metadata: Metadata) -> None:
    given = [(node.name, node.type, tuple(node.shape[1:])) for node in session.get_inputs()]
    side = metadata.image_size
    wanted = (INPUT, "tensor(uint8)", (metadata.channels, side, side))
    if given != [wanted] or [node.name for node in session.get_outputs()] != [OUTPUT]:
        raise UserError(f"{path} is damaged: its input is {given}, its metadata says {wanted}")
