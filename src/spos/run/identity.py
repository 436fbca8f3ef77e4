"""A short text that tells functions of the user's apart, the same in every process."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable
from functools import partial
from inspect import getattr_static
from io import BytesIO
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType
from typing import Any

from torch import Tensor

from spos._util.errors import UserError
from spos.training.checkpoint import digest


def identity(function: Callable[..., Any]) -> str:
    """The name of a function, and a digest of what it does.

    It changes with the code of the function, its default values and what it encloses, but not with
    the code of the functions that it calls by name, and it belongs to one version of Python.

    Args:
        function: a function, a method, a ``functools.partial``, or an object that can be called.

    Raises:
        UserError: what it holds cannot be written down, so that nothing tells it apart.

    Example:
        >>> first, second = (lambda x: x), (lambda x: -x)
        >>> identity(first) == identity(first), identity(first) == identity(second)
        (True, False)
    """
    named = function.func if isinstance(function, partial) else function
    name = getattr(named, "__qualname__", type(named).__qualname__)
    return f"{name} ({hashlib.sha256(_content(function).encode()).hexdigest()[:8]})"


def _content(value: Any) -> str:
    """All that a value is, as text."""
    if isinstance(value, FunctionType):
        cells = [cell.cell_contents for cell in value.__closure__ or ()]
        held = [*cells, *(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).items()]
        return _code(value.__code__) + "".join(map(_content, held))
    if isinstance(value, (BuiltinFunctionType, type)):
        return f"{value.__module__}.{value.__qualname__}"
    if isinstance(value, MethodType):
        return _content(value.__func__) + _content(value.__self__)
    if isinstance(value, partial):
        parts = (value.func, *value.args, *sorted(value.keywords.items()))
        return "".join(map(_content, parts))
    if isinstance(value, (set, frozenset)):
        # Its order is another one in every process.
        return f"{{{','.join(sorted(map(_content, value)))}}}"
    if isinstance(value, (tuple, list)):
        return f"({','.join(map(_content, value))})"
    methods = (getattr_static(type(value), name, None) for name in ("__call__", "forward"))
    code = "".join(_content(method) for method in methods if isinstance(method, FunctionType))
    try:
        written = BytesIO()
        _Pickler(written, protocol=4).dump(value)
        return code + hashlib.sha256(written.getvalue()).hexdigest()
    except Exception as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"a {type(value).__name__} of the task cannot be written down ({reason}): give a "
            "function at the top level of a module"
        ) from error


class _Pickler(pickle.Pickler):
    # Of a tensor torch also pickles where it lies in memory.
    def reducer_override(self, value: Any) -> Any:
        return (str, (digest({"": value}, ""),)) if isinstance(value, Tensor) else NotImplemented


def _code(code: CodeType) -> str:
    constants = (
        _code(constant)
        if isinstance(constant, CodeType)
        # A set of strings is in another order in every process.
        else str(sorted(map(repr, constant)))
        if isinstance(constant, frozenset)
        else repr(constant)
        for constant in code.co_consts
    )
    return "|".join((code.co_code.hex(), *code.co_names, *code.co_freevars, *constants))
