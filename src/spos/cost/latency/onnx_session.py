"""Export of networks to ONNX, and their inference sessions."""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx
from torch.utils._pytree import tree_leaves

from spos._util.errors import UserError
from spos._util.files import write_atomically
from spos._util.values import shown_attributes
from spos.cost.latency.record import Runtime, shapes_of

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
#: Packages that an export needs in addition to torch.
NEEDED = ("onnx", "onnxscript", "onnxruntime")


def require_onnx(what: str, packages: Sequence[str] = NEEDED) -> None:
    """Check that the packages that write, check and run ONNX graphs are installed.

    Raises:
        UserError: a package is not installed.
    """
    for name in packages:
        if find_spec(name) is None:
            raise UserError(
                f"{what}: {name} is not installed; install it: pip install 'spos[export]'"
            )


def onnx_versions(accelerator: str) -> dict[str, str]:
    """Return the versions of the packages that run ONNX graphs.

    Raises:
        UserError: a package is not installed or does not support the accelerator.
    """
    require_onnx("--backend onnxruntime")
    import onnxruntime

    provider = PROVIDERS[accelerator]
    if provider not in onnxruntime.get_available_providers():
        raise UserError(
            f"--backend onnxruntime --accelerator {accelerator}: this onnxruntime has no "
            f"{provider}; install onnxruntime-gpu"
        )
    return {"onnxruntime": onnxruntime.__version__, "onnx": version("onnx")}


def open_session(content: bytes, accelerator: str = "cpu", threads: int = 1) -> Any:
    """Open an ONNX graph as an ``onnxruntime.InferenceSession``."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # What goes wrong is raised, and need not be logged as well.
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(content, options, providers=[PROVIDERS[accelerator]])


def session(
    network: fx.GraphModule, value: Any, runtime: Runtime, kept: Path | None
) -> Callable[[Any], Any]:
    """Export a network and create its inference session.

    Returns:
        A function from inputs, as :func:`arrays_of` returns them, to outputs.

    Raises:
        UserError: the network cannot be exported.
    """
    loaded = open_session(_export(network, value, kept), runtime.accelerator, runtime.threads)
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
    """Convert the tensors of a value into inputs of ONNX Runtime."""
    leaves = [leaf.numpy() for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]
    if accelerator == "cpu":
        return leaves
    import onnxruntime

    return [onnxruntime.OrtValue.ortvalue_from_numpy(leaf, "cuda", 0) for leaf in leaves]


def _export(network: fx.GraphModule, value: Any, kept: Path | None) -> bytes:
    path = kept and kept / f"{_known_as(network, value)}.onnx"
    if path is not None and path.exists():
        return path.read_bytes()
    try:
        with quiet_exporter():
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


def _known_as(network: fx.GraphModule, value: Any) -> str:
    """Digest of all that latency depends on, which the values of weights are no part of."""
    # The text of a network leaves out its own weights, and modules' heads of attention.
    shapes = [(name, tuple(one.shape)) for name, one in network.state_dict().items()]
    held = [shown_attributes(vars(module)) for module in network.modules() if module != network]
    what = f"{network.code}{network}{shapes_of(value)}{shapes}{held}"
    return hashlib.sha256(what.encode()).hexdigest()[:32]


@contextlib.contextmanager
def quiet_exporter() -> Iterator[None]:
    """Silence the messages of torch's ONNX exporter."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
