"""One line for errors that are not bugs: mistakes of the user, files, memory."""

from __future__ import annotations

import sys

from spos._util.errors import UserError

MEMORY = "out of memory ({reason}): set a smaller batch_size or run.evaluation_batch"


def explain(error: BaseException) -> str | None:
    """The line to print for an error that needs no traceback; None for one that does.

    Example:
        >>> explain(FileNotFoundError(2, "No such file or directory", "runs/a"))
        'runs/a: No such file or directory'
        >>> explain(KeyError("weight")) is None
        True
    """
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, OSError):
        reason = error.strerror or " ".join(str(error).split()) or type(error).__name__
        # When a file is renamed, the name that it should get.
        name = error.filename2 or error.filename
        return f"{name}: {reason}" if name else f"a file cannot be read or written: {reason}"
    if _out_of_memory(error):
        first = str(error).strip().splitlines()
        return MEMORY.format(reason=first[0].strip() if first else "MemoryError")
    return None


def _out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError):
        return True
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(error, torch.OutOfMemoryError):
        return True
    # The CPU allocator has no error class of its own.
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
