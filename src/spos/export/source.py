"""A network as Python source of torch alone, to be read by people and loaded without spos."""

from __future__ import annotations

import ast
import builtins
from pathlib import Path
from typing import Any

from torch import Tensor, fx, nn

from spos._util.errors import UserError

_HEAD = '''"""The network {title}, written by spos {version}.

    network = Network()
    network.load_state_dict(safetensors.torch.load_file("{weights}"))
    network.eval()

It reads pixels, uint8 [N, {channels}, {side}, {side}], and normalises them itself.
"""

import torch
from torch import device, inf, nan, nn


class Network(nn.Module):
    def __init__(self):
        super().__init__()
'''
#: Names that fx takes for granted, and that the head of a source imports or does without.
_KNOWN = {"torch", "device", "inf", "nan", "NoneType", "fx_pytree", "pytree"}


def is_ours(path: Path) -> bool:
    """Whether a file begins as a source that spos wrote."""
    start, _, _ = _HEAD.partition("{")
    try:
        with path.open(encoding="utf-8") as file:
            first = file.readline()
    except (OSError, UnicodeDecodeError):
        return False
    return first.startswith(start) and ", written by spos " in first


def python_source(
    graph: fx.GraphModule, *, title: str, version: str, weights: str, channels: int, side: int
) -> str:
    """Write a network as the source of a class ``Network`` without arguments.

    Args:
        graph: of torch's own modules and functions.
        title: what the network is called.
        version: of spos.
        weights: the name of the file of its weights.
        channels: of its images.
        side: of its images in pixels.

    Raises:
        UserError: the network has a part that cannot be written so.

    Example:
        >>> graph = fx.symbolic_trace(nn.Sequential(nn.Linear(2, 1), nn.ReLU()))
        >>> source = python_source(
        ...     graph, title="a", version="0", weights="a.safetensors", channels=1, side=8)
        >>> "Linear(in_features=2, out_features=1, bias=True)" in source
        True
    """
    code = graph.graph.python_code("self")
    unknown = {
        name
        for name, value in code.globals.items()
        if name not in _KNOWN and getattr(builtins, name, None) is not value
    }
    if unknown:
        raise _refusal(f"the function {sorted(unknown)[0]}")
    head = _HEAD.format(title=title, version=version, weights=weights, channels=channels, side=side)
    made = {"": ""}
    lines: list[str] = []
    for name, module in graph.named_modules():
        if name:
            lines.append(_assign(made, name, _expression(module, name)))
    tensors = {**dict(graph.named_parameters()), **dict(graph.named_buffers())}
    for name, tensor in tensors.items():
        owner = name.rpartition(".")[0]
        if owner in made and _is_container(graph.get_submodule(owner)):
            lines.append(_tensor(owner, name.rpartition(".")[2], tensor))
    forward = code.src.strip().splitlines()
    body = "\n".join(f"    {line}" if line.strip() else "" for line in forward)
    return f"{head}{''.join(f'        {line}' + chr(10) for line in lines)}\n{body}\n"


def load_source(source: str) -> nn.Module:
    """Run a source that this process wrote, and make its network.

    Never give it a file: what is in it is executed.
    """
    namespace: dict[str, Any] = {}
    exec(compile(source, "<network>", "exec"), namespace)
    network: nn.Module = namespace["Network"]()
    return network.eval()


def _path(name: str) -> str:
    text = "self"
    for part in filter(None, name.split(".")):
        text = f"{text}.{part}" if part.isidentifier() else f'getattr({text}, "{part}")'
    return text


def _assign(made: dict[str, str], name: str, expression: str) -> str:
    owner, _, part = name.rpartition(".")
    made[name] = expression
    return f'{_path(owner)}.add_module("{part}", {expression})'


def _is_container(module: nn.Module) -> bool:
    # What fx leaves of modules that are no leaves is a plain module that holds others.
    return type(module) is nn.Module or isinstance(module, fx.GraphModule)


def _expression(module: nn.Module, name: str) -> str:
    if type(module) is nn.Module:
        return "nn.Module()"
    kind, text = type(module), repr(module)
    if getattr(nn, kind.__name__, None) is not kind or "\n" in text:
        raise _refusal(f"the module {name}, a {kind.__name__}")
    try:
        ast.parse(text, mode="eval")
    except SyntaxError:
        raise _refusal(f"the module {name}, {text}") from None
    return f"nn.{text}"


def _tensor(owner: str, name: str, tensor: Tensor) -> str:
    empty = f"torch.zeros({tuple(tensor.shape)}, dtype={tensor.dtype})"
    if isinstance(tensor, nn.Parameter):
        return f'{_path(owner)}.register_parameter("{name}", nn.Parameter({empty}))'
    return f'{_path(owner)}.register_buffer("{name}", {empty})'


def _refusal(part: str) -> UserError:
    return UserError(
        f"--format state-dict: {part} cannot be written as Python source; allowed: --format onnx, "
        "torch-export"
    )
