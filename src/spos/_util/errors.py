"""Errors that are not bugs, in one line each: mistakes of the user, files, memory."""

from __future__ import annotations

import difflib
import errno
import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from operator import index

from spos._util.environment import refused_variable
from spos._util.text import printable, redact

#: What allocators of the CPU, oneDNN and the loader of libraries say, without a class of their own.
_OUT_OF_MEMORY = (
    "can't allocate memory",
    "could not create a primitive",
    "could not create a memory",
    "failed to map segment",
)


class UserError(ValueError):
    """A mistake in the user's input: one line with what was given and what is allowed.

    The command line prints it without a traceback and exits with status 2. Names of files and
    addresses of databases may be in it: it is safe to print, and shows no password.

    Args:
        line (str): what was given, and what is allowed.

    Example:
        >>> raise UserError("batch_size 0: a batch needs at least 1 image")
        Traceback (most recent call last):
        ...
        spos.UserError: batch_size 0: a batch needs at least 1 image
    """

    # The public name, also in tracebacks and in pickles sent between processes.
    __module__ = "spos"

    def __init__(self, line: str = "") -> None:
        super().__init__(redact(printable(line)))


def nearest(given: object, allowed: Iterable[str]) -> str:
    """List the allowed values, with the one nearest to what was given.

    Returns:
        str: a clause to end an error line with.

    Example:
        >>> nearest("tinny", ["imagenet", "cifar", "tiny"])
        "did you mean 'tiny'? allowed: imagenet, cifar, tiny"
        >>> nearest("17", ["8", "16", "71"])
        "did you mean '16'? allowed: 8, 16, 71"
    """
    allowed = list(allowed)
    if not allowed:
        return "there is none"
    with suppress(ValueError):
        number = float(str(given))
        # Numbers are compared by value, not by digits.
        closest = min(allowed, key=lambda option: abs(float(option) - number))
        return f"did you mean '{closest}'? allowed: {', '.join(allowed)}"
    folded = {option.lower(): option for option in allowed}
    close = difflib.get_close_matches(str(given).lower(), list(folded), n=1, cutoff=0.5)
    hint = f"did you mean '{folded[close[0]]}'? " if close else ""
    return f"{hint}allowed: {', '.join(allowed)}"


def check_kind(value: object, kinds: type | tuple[type, ...], what: str, allowed: str) -> None:
    """Check the type of what was given in Python, where nothing else does.

    Args:
        value (object): what was given.
        kinds (type | tuple[type, ...]): types that it may have.
        what (str): what it is, to begin an error with.
        allowed (str): what these types are called.

    Raises:
        UserError: it is of another type.

    Example:
        >>> check_kind(None, str, "architecture", "a text")
        Traceback (most recent call last):
        ...
        spos.UserError: architecture None: must be a text
    """
    if not isinstance(value, kinds):
        brief = value is None or isinstance(value, (bool, int, float, str))
        shown = f"{value!r:.80}" if brief else f"of type {type(value).__name__}"
        raise UserError(f"{what} {shown}: must be {allowed}")


def as_whole(value: object, what: str, least: int = 0, most: int = 10**6) -> int:
    """A whole number that was given in Python, of numpy too, as an int.

    Args:
        value (object): what was given.
        what (str): what it is, to begin an error with.
        least (int): least value allowed.
        most (int): largest value allowed, by default that of the options of the command line.

    Raises:
        UserError: it is no whole number, too small or too large.

    Example:
        >>> as_whole(1.5, "compare")
        Traceback (most recent call last):
        ...
        spos.UserError: compare 1.5: must be a whole number from 0 to 1000000
    """
    with suppress(TypeError):
        number = least - 1 if isinstance(value, bool) else index(value)  # type: ignore[arg-type]
        if least <= number <= most:
            return number
    raise UserError(f"{what} {value!r:.80}: must be a whole number from {least} to {most}")


def explain(error: BaseException) -> str | None:
    """The line to print for an error that needs no traceback; None for one that does.

    Example:
        >>> explain(FileNotFoundError(2, "No such file or directory", "runs/a"))
        'runs/a: No such file or directory'
        >>> explain(KeyError("weight")) is None
        True
    """
    # Before any other: torch may have raised it inside of what then failed.
    refused = refused_variable(error)
    if refused is not None:
        return redact(printable(refused))
    if isinstance(error, UserError):
        return str(error)
    if is_out_of_memory(error):
        first = (str(error).strip() or "MemoryError").splitlines()[0].strip()
        return f"out of memory ({first}): set a smaller batch_size or run.evaluation_batch"
    if is_out_of_threads(error):
        return (
            "no further thread or process can be started: allow more, such as by ulimit -u, or "
            "give fewer --workers and --threads"
        )
    if is_lost_reader(error):
        return (
            f"a process that decodes images has ended ({' '.join(str(error).split())}): possibly "
            "out of memory, or the file that it read was cut off; rerun the same command to "
            "resume, with fewer --data-workers if memory is short"
        )
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        return f"{error.strerror}; allow more, such as by ulimit -n 4096"
    if isinstance(error, OSError):
        reason = error.strerror or " ".join(str(error).split()) or type(error).__name__
        # When a file is renamed, the name that it should get.
        name = error.filename2 or error.filename
        name = os.fsdecode(name) if isinstance(name, bytes) else name
        return f"{name}: {reason}" if name else f"a file cannot be read or written: {reason}"
    return None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there is too little memory, of the machine or of an accelerator.

    Example:
        >>> is_out_of_memory(MemoryError()), is_out_of_memory(RuntimeError("shapes differ"))
        (True, False)
    """
    # Not there while torch is being imported.
    of_torch = getattr(sys.modules.get("torch"), "OutOfMemoryError", ())
    if isinstance(error, (MemoryError, of_torch)):
        return True
    known = isinstance(error, (RuntimeError, ImportError, OSError))
    return known and any(text in str(error) for text in _OUT_OF_MEMORY)


def is_out_of_threads(error: BaseException) -> bool:
    """Whether an error says that this user, or this container, may have no further thread.

    Example:
        >>> is_out_of_threads(RuntimeError("can't start new thread"))
        True
    """
    if isinstance(error, RuntimeError):
        return "can't start new thread" in str(error)
    # Of a process that cannot be forked; an error of a file names it.
    return isinstance(error, BlockingIOError) and error.filename is None


def is_lost_reader(error: BaseException) -> bool:
    """Whether an error says that a process ended that decodes images, as torch reports it.

    Example:
        >>> is_lost_reader(RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "))
        True
    """
    return isinstance(error, RuntimeError) and str(error).startswith("DataLoader worker (pid")
