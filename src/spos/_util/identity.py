"""What a function of the user's own is known by."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from spos._util.reached import PLAIN, reached


def identity(function: Callable[..., Any]) -> str:
    """Identify a function by its name and a digest of its source and its plain values.

    The source is that of the function, or of the class of a callable object, with what it uses
    (:func:`spos._util.reached.reached`). If it is not available, as for built-in functions, the
    name of the module takes its place. Plain values are the numbers, texts and booleans among the
    arguments of a ``functools.partial`` and the attributes of an object, but for the mode of a
    module. Enclosed variables and tensors are ignored.

    Example:
        >>> first, second = partial(round, ndigits=1), partial(round, ndigits=2)
        >>> identity(first) == identity(first), identity(first) == identity(second)
        (True, False)
    """
    parts: list[str] = []
    while isinstance(function, partial):
        named = {str(place): value for place, value in enumerate(function.args)}
        parts.append(plain_values({**named, **function.keywords}))
        function = function.func
    if inspect.ismethod(function):
        parts.append(plain_values(getattr(function.__self__, "__dict__", {})))
        parts += reached([type(function.__self__)])
    elif not inspect.isroutine(function):
        parts.append(plain_values(getattr(function, "__dict__", {})))
        function = type(function)
    try:
        parts.append(inspect.getsource(function))
    except (OSError, TypeError):
        parts.append(function.__module__)
    parts += reached([function])
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:8]
    return f"{function.__qualname__} ({digest})"


def plain_values(values: dict[str, Any]) -> str:
    """Write the numbers, texts and booleans among values, but for the mode of a module.

    Example:
        >>> plain_values({"training": True, "rate": 0.5, "layer": object()})
        "[('rate', 0.5)]"
    """
    plain = ((k, v) for k, v in values.items() if isinstance(v, PLAIN) and k != "training")
    return repr(sorted(plain))
