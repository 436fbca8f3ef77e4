"""Standard input, output and error of a command that has lost one of them."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from typing import Literal


def open_streams() -> None:
    """Open the null device in the place of each standard stream that is closed.

    Python has None for such a stream; and the next file that is opened, such as a database, would
    have its number, and get what a library writes to standard error.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is given. Processes that are started inherit it.
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            os.set_inheritable(number, True)
    if sys.stdin is None:
        sys.stdin = _stream(0, "r")
    if sys.stdout is None:
        sys.stdout = _stream(1, "w")
    if sys.stderr is None:
        sys.stderr = _stream(2, "w")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A character that the encoding lacks, such as a dash in ASCII, must not end a command:
            # in the locale C, Python has an encoding without it and another way to fail.
            fails = stream.errors in ("strict", "surrogateescape")
            stream.reconfigure(errors="replace" if fails else stream.errors)


@contextmanager
def terminal_may_close() -> Iterator[None]:
    """Go on without a terminal that is closed while something is written to standard error.

    A run that was started from it may have to save its state, or was told to go on without it.
    """
    try:
        yield
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        null = os.open(os.devnull, os.O_RDWR)
        for number in {2, *((1,) if os.path.sameopenfile(1, 2) else ())}:
            os.dup2(null, number)
        os.close(null)


def _stream(number: int, mode: Literal["r", "w"]) -> TextIOWrapper:
    return open(number, mode, encoding="utf-8", errors="backslashreplace", closefd=False)
