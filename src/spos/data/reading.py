"""How images are read, whatever their source: the options that all loaders share."""

from __future__ import annotations

from spos._util.errors import UserError, nearest

STREAM = ("auto", "always", "never")


def check_reading(seed: int, stream: str, workers: int, memory_limit: int) -> None:
    """Check how images are to be read, whatever their source.

    Raises:
        UserError: a value is out of its range.

    Example:
        >>> check_reading(0, "auto", -1, 1)
        Traceback (most recent call last):
        ...
        spos.UserError: --workers -1: a number of processes of at least 0; nearest valid: 0
    """
    if seed < 0:
        raise UserError(f"--seed {seed}: a whole number of at least 0; nearest valid: 0")
    if stream not in STREAM:
        raise UserError(f"--stream {stream}: {nearest(stream, STREAM)}")
    if workers < 0:
        raise UserError(
            f"--workers {workers}: a number of processes of at least 0; nearest valid: 0"
        )
    if memory_limit < 0:
        raise UserError(
            f"memory_limit {memory_limit}: a number of bytes of at least 0; nearest valid: 0"
        )
