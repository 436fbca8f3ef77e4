"""Export of networks to ONNX, and their inference sessions."""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx
from torch.utils._pytree import tree_leaves

from spos._util.errors import UserError
from spos._util.files import write_atomically
from spos.cost.latency.record import Runtime, shapes_of

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
#: Packages that an export needs in addition to torch.
NEEDED = ("onnx", "onnxscript", "onnxruntime")


def onnx_versions(accelerator: str) -> dict[str, str]:
    """Return the versions of the packages that run ONNX graphs.

    Args:
        accelerator (str): ``cpu`` or ``cuda``.

    Raises:
        UserError: a package is not installed or does not support the accelerator.
    """
    for name in NEEDED:
        if find_spec(name) is None:
            raise UserError(
                f"--backend onnxruntime: {name} is not installed; pip install 'spos[export]'"
            )
    import onnxruntime

    provider = PROVIDERS[accelerator]
    if provider not in onnxruntime.get_available_providers():
        raise UserError(
            f"--backend onnxruntime --accelerator {accelerator}: this onnxruntime has no "
            f"{provider}; install onnxruntime-gpu"
        )
    found = {"onnxruntime": onnxruntime.__version__}
    with contextlib.suppress(PackageNotFoundError):
        found["onnx"] = version("onnx")
    return found


def session(
    network: fx.GraphModule, value: Any, runtime: Runtime, kept: Path | None
) -> Callable[[Any], Any]:
    """Export a network and create its inference session.

    Args:
        network (fx.GraphModule): network in evaluation mode on the CPU.
        value (Any): input of the network for the whole batch.
        runtime (Runtime): device and number of threads.
        kept (Path | None): folder in which exported graphs are reused; None exports again.

    Returns:
        A function from inputs, as :func:`arrays_of` returns them, to outputs.

    Raises:
        UserError: the network cannot be exported.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = runtime.threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    loaded = onnxruntime.InferenceSession(
        _export(network, value, kept), options, providers=[PROVIDERS[runtime.accelerator]]
    )
    names = [entry.name for entry in loaded.get_inputs()]
    if runtime.accelerator == "cpu":
        return lambda arrays: loaded.run(None, dict(zip(names, arrays, strict=True)))
    outputs = [entry.name for entry in loaded.get_outputs()]

    # Outputs stay on the device, as in the other backends.
    def on_device(arrays: Any) -> Any:
        binding = loaded.io_binding()
        for name, array in zip(names, arrays, strict=True):
            binding.bind_ortvalue_input(name, array)
        for name in outputs:
            binding.bind_output(name, "cuda")
        loaded.run_with_iobinding(binding)
        return binding.get_outputs()

    return on_device


def arrays_of(value: Any, accelerator: str) -> list[Any]:
    """Convert the tensors of a value into inputs of ONNX Runtime.

    Args:
        value (Any): tensor or nested structure of tensors on the CPU.
        accelerator (str): device of the inputs, ``cpu`` or ``cuda``.
    """
    leaves = [leaf.numpy() for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]
    if accelerator == "cpu":
        return leaves
    import onnxruntime

    return [onnxruntime.OrtValue.ortvalue_from_numpy(leaf, "cuda", 0) for leaf in leaves]


def _export(network: fx.GraphModule, value: Any, kept: Path | None) -> bytes:
    # The key of a kept graph leaves out the weights, on which latency does not depend.
    what = f"{network.code}{network}{shapes_of(value)}"
    path = kept and kept / f"{hashlib.sha256(what.encode()).hexdigest()[:32]}.onnx"
    if path is not None and path.exists():
        return path.read_bytes()
    try:
        with _quiet():
            program = torch.onnx.export(network, (value,), dynamo=True, verbose=False)
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"--backend onnxruntime: a part cannot be exported: {reason}") from error
    assert program is not None
    content: bytes = program.model_proto.SerializeToString()
    if path is not None:
        path.parent.mkdir(exist_ok=True)
        write_atomically(path, content)
    return content


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter's messages about libraries that are not installed."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
