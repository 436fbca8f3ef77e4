"""Environment variables that torch does not take."""

from __future__ import annotations

import os
import re
import traceback
from collections.abc import Iterator

#: Characters of what torch says: it may list all that it knows.
LONGEST = 200
#: What the name of a variable of torch or of its compiler has in it.
_OF_TORCH = re.compile("TORCH|INDUCTOR")


def refused_variable(error: BaseException) -> str | None:
    """Name the environment variable to which torch owes an error.

    Torch reads some when it is imported, and others with parts of it that are imported when they
    are needed: whatever was computed then may have been told of the error as if it were its own.

    Returns:
        A clause to begin an error line with; None if there is no such variable.

    Example:
        >>> refused_variable(ValueError("no variable of torch")) is None
        True
    """
    variables = {name: value for name, value in os.environ.items() if _OF_TORCH.search(name)}
    for one in _chain(error) if variables else ():
        reason = " ".join(str(one).split())
        # The line of torch that reads a variable names it, and many an error does not.
        told = " ".join([reason, *_lines_of_torch(one)])
        for name, value in variables.items():
            named = re.search(rf"\b{re.escape(name)}\b", told)
            if told != reason and (named or f"'{value}'" in reason or f"'{value}/" in reason):
                reason = reason if len(reason) <= LONGEST else f"{reason[:LONGEST]}..."
                return f"torch refuses the environment variable {name}={value} ({reason})"
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and those while which it was raised."""
    seen = set[int]()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__ or one.__context__


def _lines_of_torch(error: BaseException) -> list[str]:
    """The lines of torch that an error came through."""
    frames = traceback.walk_tb(error.__traceback__)
    of_torch = [
        (frame, number)
        for frame, number in frames
        if frame.f_globals.get("__name__", "").partition(".")[0] == "torch"
    ]
    return [entry.line or "" for entry in traceback.StackSummary.extract(iter(of_torch))]
