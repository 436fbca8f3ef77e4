"""Names that a package hands on from modules that are imported when first asked for."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any


def lazy_names(
    package: str, packages: Iterable[str] = ()
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The ``__getattr__`` and the ``__dir__`` of a package whose names come from elsewhere.

    The names are those that the package imports under ``if TYPE_CHECKING``: one list serves type
    checkers, which read it, and the program, which imports a module when a name of it is asked for.
    Importing torch takes seconds, and much of the package needs none of it.

    Args:
        package (str): name of the package, its ``__name__``.
        packages (Iterable[str]): names of sub-packages.

    Returns:
        A function from an attribute to its value, which raises AttributeError for any other name;
        and one that lists the names, for completion and for the reference.

    Example:
        >>> get, names = lazy_names("spos")
        >>> get("Choice").__name__, "Choice" in names()
        ('Choice', True)
    """
    tree = ast.parse(inspect.getsource(sys.modules[package]))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    modules = {one.name: node.module for node in imports for one in node.names if node.module}

    def get(name: str) -> Any:
        if name in modules:
            return getattr(import_module(modules[name]), name)
        if name in packages:
            return import_module(f"{package}.{name}")
        raise AttributeError(f"module '{package}' has no attribute '{name}'")

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *modules, *packages})

    return get, names
