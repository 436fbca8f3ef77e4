"""The exception for mistakes that the user can correct."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from contextlib import suppress


class UserError(ValueError):
    """A mistake in the user's input: one line with what was given and what is allowed.

    The command line prints it without a traceback and exits with status 2.

    Example:
        >>> raise UserError("batch_size 0: a batch needs at least 1 image")
        Traceback (most recent call last):
        ...
        spos.UserError: batch_size 0: a batch needs at least 1 image
    """

    # The public name, also in tracebacks and in pickles sent between processes.
    __module__ = "spos"


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
    with suppress(ValueError):
        number = float(str(given))
        # Numbers are compared by value, not by digits.
        closest = min(allowed, key=lambda option: abs(float(option) - number))
        return f"did you mean '{closest}'? allowed: {', '.join(allowed)}"
    folded = {option.lower(): option for option in allowed}
    close = difflib.get_close_matches(str(given).lower(), list(folded), n=1, cutoff=0.5)
    hint = f"did you mean '{folded[close[0]]}'? " if close else ""
    return f"{hint}allowed: {', '.join(allowed)}"
