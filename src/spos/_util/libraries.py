"""Libraries that only some runs need: extras of spos."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from spos._util.errors import UserError


def require_library(library: str) -> Any:
    """Import a library.

    Args:
        library (str): name of the package, and of the extra of spos that installs it.

    Raises:
        UserError: it is not installed, or cannot be imported.

    Example:
        >>> require_library("json").__name__
        'json'
    """
    try:
        return import_module(library)
    except ModuleNotFoundError as error:
        raise UserError(
            f"{library}: {error.name or library} is not installed; install it: pip install "
            f"'spos[{library}]'"
        ) from error
    except Exception as error:
        # torchvision raises a RuntimeError beside a torch that it was not built for.
        raise UserError(
            f"{library} cannot be imported ({reason(error)}): install versions that belong "
            "together, such as those of constraints.txt"
        ) from error


def reason(error: Exception) -> str:
    """An error of a library in one line.

    Example:
        >>> reason(ValueError("no such thing"))
        'ValueError: no such thing'
    """
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
