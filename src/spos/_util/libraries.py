"""Libraries that only some runs need: extras of spos."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from spos._util.errors import UserError


def require_library(library: str, extra: str = "", what: str = "") -> Any:
    """Import a library.

    Args:
        library (str): name of the package.
        extra (str): extra of spos that installs it; empty for one of the same name.
        what (str): what needs it, such as an option; empty where an error says so anyway.

    Raises:
        UserError: it is not installed, or cannot be imported.

    Example:
        >>> require_library("json").__name__
        'json'
        >>> require_library("jason", extra="json", what="--as json")
        Traceback (most recent call last):
        ...
        spos.UserError: --as json: jason is not installed; install it: pip install 'spos[json]'
    """
    start = f"{what}: " if what else ""
    try:
        return import_module(library)
    except ModuleNotFoundError as error:
        raise UserError(
            f"{start}{error.name or library} is not installed; install it: pip install "
            f"'spos[{extra or library}]'"
        ) from error
    except Exception as error:
        # torchvision raises a RuntimeError beside a torch that it was not built for. The versions
        # may match: builds for CPU and for CUDA come from different indexes.
        raise UserError(
            f"{start}{library} cannot be imported ({reason(error)}): install versions that belong "
            "together, such as those of constraints.txt, all from the same package index"
        ) from error


def reason(error: BaseException) -> str:
    """An error of a library in one line.

    Example:
        >>> reason(ValueError("no such thing"))
        'ValueError: no such thing'
    """
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
