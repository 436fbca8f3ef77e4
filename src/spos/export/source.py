"""A network as Python source of torch alone, to be read by people and loaded without spos.

``fx.GraphModule.to_folder`` is not used: it pickles every module that is not a convolution, linear
layer or batch norm, and loading what it writes unpickles them.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn

from spos._util.errors import UserError
from spos.export.metadata import Metadata

_HEAD = '''"""The network {network.architecture}, written by spos {network.spos}.

    network = Network()
    network.load_state_dict(safetensors.torch.load_file("{weights}"))
    network.eval()

It reads pixels, uint8 [N, {network.channels}, {side}, {side}], and normalises them itself.
"""

import torch
from torch import device, inf, nan, nn


class Network(nn.Module):
    def __init__(self):
        super().__init__()
'''
_KNOWN = {"torch", "device", "inf", "nan", "NoneType", "fx_pytree", "pytree"}
"""Names that fx presupposes; the head imports those that a network needs."""
_NUMBERS = {"inf": math.inf, "nan": math.nan}
"""Numbers that are printed as names."""


def is_ours(path: Path) -> bool:
    """Whether a file begins like a source that spos wrote."""
    with path.open(encoding="utf-8", errors="replace") as file:
        first = file.readline()
    return first.startswith(_HEAD.partition("{")[0]) and ", written by spos " in first


def python_source(graph: fx.GraphModule, metadata: Metadata, weights: str) -> str:
    """The source of a class ``Network`` without arguments.

    Raises:
        UserError: a part of the network cannot be written as source.
    """
    code = graph.graph.python_code("self")
    for name, value in sorted(code.globals.items()):
        if name not in _KNOWN and getattr(builtins, name, None) is not value:
            raise _refusal(f"the function {name}")
    lines = []
    for name, module in graph.named_modules():
        if name:
            owner, _, part = name.rpartition(".")
            lines.append(f'{_path(owner)}.add_module("{part}", {_expression(module, name)})')
        # The tensors of other modules come with their classes.
        if type(module) is nn.Module or isinstance(module, fx.GraphModule):
            for part, parameter in module.named_parameters(recurse=False):
                empty = f"nn.Parameter({_empty(parameter)})"
                lines.append(f'{_path(name)}.register_parameter("{part}", {empty})')
            for part, buffer in module.named_buffers(recurse=False):
                lines.append(f'{_path(name)}.register_buffer("{part}", {_empty(buffer)})')
    head = _HEAD.format(network=metadata, side=metadata.image_size, weights=weights)
    body = "".join(f"        {line}\n" for line in lines)
    forward = [f"    {line}" if line.strip() else "" for line in code.src.strip().splitlines()]
    return f"{head}{body}\n" + "\n".join(forward) + "\n"


def load_source(source: str) -> nn.Module:
    """Execute a source that this process wrote, never an untrusted file, and build its network."""
    namespace: dict[str, Any] = {}
    exec(compile(source, "<network>", "exec"), namespace)
    network: nn.Module = namespace["Network"]()
    return network.eval()


def _path(name: str) -> str:
    text = "self"
    for part in filter(None, name.split(".")):
        text = f"{text}.{part}" if part.isidentifier() else f'getattr({text}, "{part}")'
    return text


def _empty(tensor: Tensor) -> str:
    return f"torch.zeros({tuple(tensor.shape)}, dtype={tensor.dtype})"


def _expression(module: nn.Module, name: str) -> str:
    kind, text = type(module), repr(module)
    if kind is nn.Module:
        return "nn.Module()"
    shown = f"the module {name}, {' '.join(text.split())}"
    try:
        call: Any = ast.parse(text, mode="eval").body
    except SyntaxError:
        raise _refusal(shown) from None
    if getattr(nn, kind.__name__, None) is not kind or "\n" in text:
        raise _refusal(f"the module {name}, a {kind.__name__}")
    for keyword in call.keywords:
        # Some modules print a text as a name: padding_mode=reflect.
        if isinstance(keyword.value, ast.Name) and keyword.value.id not in _NUMBERS:
            keyword.value = ast.Constant(keyword.value.id)
    # Others do not print all that they were made of, as AvgPool2d.
    given = {keyword.arg for keyword in call.keywords}
    rebuilt = _build(call)
    for argument in inspect.signature(kind).parameters:
        value = getattr(module, argument, None)
        if argument not in given and _differs(value, getattr(rebuilt, argument, None)):
            call.keywords.append(ast.keyword(argument, ast.Constant(value)))
    hooks = module._forward_hooks or module._forward_pre_hooks
    if hooks or _shapes(_build(call)) != _shapes(module):
        raise _refusal(f"{shown}, which has a hook or tensors of its own,")
    return f"nn.{ast.unparse(call)}"


def _build(call: ast.Call) -> nn.Module:
    # Without memory for its weights.
    with torch.device("meta"):
        built: nn.Module = eval(f"nn.{ast.unparse(call)}", {"nn": nn, **_NUMBERS})
    return built


def _differs(value: Any, other: Any) -> bool:
    return isinstance(value, (bool, int, float, str)) and value != other


def _shapes(module: nn.Module) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in module.state_dict().items()}


def _refusal(part: str) -> UserError:
    return UserError(
        f"--format state-dict: {part} cannot be written as Python source; allowed: --format onnx, "
        "torch-export"
    )
