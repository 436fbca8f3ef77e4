"""What a function of the user's own is known by."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from torch import nn

from spos._util.reached import reached
from spos._util.values import shown_attributes


def identity(function: Callable[..., Any]) -> str:
    """Identify a function by its name and a digest of its source and its values.

    The source is that of the function, or of the class of a callable object, with what it uses
    (:func:`spos._util.reached.reached`). If it is not available, as for built-in functions, the
    name of the module takes its place. Values (:func:`spos._util.values.shown`) are those among the
    arguments of a ``functools.partial`` and the attributes of an object, and of a module those of
    its parts and their buffers. Enclosed variables are ignored.

    Example:
        >>> first, second = partial(round, ndigits=1), partial(round, ndigits=2)
        >>> identity(first) == identity(first), identity(first) == identity(second)
        (True, False)
    """
    parts: list[str] = []
    while isinstance(function, partial):
        named = {str(place): value for place, value in enumerate(function.args)}
        parts.append(shown_attributes({**named, **function.keywords}))
        function = function.func
    if inspect.ismethod(function):
        parts += _held(function.__self__)
    elif not inspect.isroutine(function):
        parts += _held(function)
        function = type(function)
    try:
        parts.append(inspect.getsource(function))
    except (OSError, TypeError):
        parts.append(function.__module__)
    parts += reached([function])
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:8]
    return f"{function.__qualname__} ({digest})"


def _held(holder: Any) -> list[str]:
    """The class and the values of an object, and of the modules in it."""
    modules = list(holder.modules()) if isinstance(holder, nn.Module) else []
    parts = reached([type(one) for one in (holder, *modules)])
    for one in modules or [holder]:
        buffers = dict(one.named_buffers(recurse=False)) if modules else {}
        parts.append(type(one).__qualname__)
        parts.append(shown_attributes({**getattr(one, "__dict__", {}), **buffers}))
    return parts
