"""Names that a package hands on from modules that are imported when first asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any


def lazy_names(
    package: str, modules: Mapping[str, str], packages: Iterable[str] = ()
) -> Callable[[str], Any]:
    """The ``__getattr__`` of a package whose names come from elsewhere.

    Importing torch takes seconds, and much of the package needs none of it.

    Args:
        package (str): name of the package, its ``__name__``.
        modules (Mapping[str, str]): module of each name.
        packages (Iterable[str]): names of sub-packages.

    Returns:
        A function from an attribute to its value. It raises AttributeError for any other name.

    Example:
        >>> lazy_names("spos", {"Choice": "spos.space"})("Choice").__name__
        'Choice'
    """
    known = frozenset(packages)

    def get(name: str) -> Any:
        if name in modules:
            return getattr(import_module(modules[name]), name)
        if name in known:
            return import_module(f"{package}.{name}")
        raise AttributeError(f"module '{package}' has no attribute '{name}'")

    return get
