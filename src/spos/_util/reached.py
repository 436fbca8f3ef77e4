"""What functions and classes of the user's own use: functions, classes and global values."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from spos._util.values import shown

#: Folders of installed packages.
_INSTALLED = {"site-packages", "dist-packages"}


def reached(begin: Iterable[Any]) -> list[str]:
    """Sources of functions and classes, and sources and values that they depend on, sorted.

    Followed are base classes, and the functions, classes and values of modules that a function or a
    method names, also as attributes of a module, and so on. What is installed, as torch is, and
    enclosed variables are ignored; which values are compared is said in :mod:`spos._util.values`.

    Args:
        begin (Iterable): functions and classes.
    """
    found = set[str]()
    seen = set[int]()
    queue: list[Any] = [*begin]
    while queue:
        one = queue.pop()
        if id(one) in seen or not _is_own(getattr(one, "__module__", None)):
            continue
        seen.add(id(one))
        try:
            found.add(inspect.getsource(one))
        except (OSError, TypeError):
            found.add(one.__qualname__)
        queue += one.__mro__[1:] if isinstance(one, type) else ()
        for function in _functions(one):
            for name, value in _used(function):
                if inspect.isfunction(value) or inspect.isclass(value):
                    queue.append(value)
                elif (told := shown(value)) is not None:
                    found.add(f"{name} = {told}")
    return sorted(found)


def _functions(one: Any) -> list[Callable[..., Any]]:
    if not isinstance(one, type):
        return [one] if inspect.isfunction(one) else []
    members = (getattr(value, "__func__", value) for value in vars(one).values())
    plain = (value.fget if isinstance(value, property) else value for value in members)
    return [value for value in plain if inspect.isfunction(value)]


def _used(function: Callable[..., Any]) -> Iterator[tuple[str, Any]]:
    """Global names of a function with their values, and names of modules of the user's own."""
    names = set(_names(function.__code__))
    spaces: list[Mapping[str, Any]] = [function.__globals__]
    for name in names:
        value = function.__globals__.get(name)
        if isinstance(value, ModuleType) and _is_own(value.__name__):
            spaces.append(vars(value))
    for space in spaces:
        yield from ((name, space[name]) for name in names if name in space)


def _names(code: CodeType) -> Iterator[str]:
    yield from (name for name in code.co_names if not name.startswith("__"))
    for one in code.co_consts:
        if isinstance(one, CodeType):
            yield from _names(one)


def _is_own(module: str | None) -> bool:
    # Code of exec has none.
    top = (module or "").partition(".")[0]
    if top == "spos" or top in sys.stdlib_module_names:
        return False
    file = getattr(sys.modules.get(module or ""), "__file__", None)
    return file is None or _INSTALLED.isdisjoint(Path(file).parts)
