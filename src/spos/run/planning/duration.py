"""Durations as people write them."""

from __future__ import annotations

import re

from spos._util.errors import UserError

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_PARTS = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s*([smhd])(?:in|ec)?\s*")


def parse_duration(text: str) -> float:
    """Read a duration.

    Returns:
        Seconds, above 0.

    Raises:
        UserError: the text is not a duration.

    Example:
        >>> parse_duration("1h30m"), parse_duration("90s"), parse_duration("0.5 h")
        (5400.0, 90.0, 1800.0)
    """
    seconds = sum(float(number) * _UNITS[unit] for number, unit in _PARTS.findall(text))
    if not _PARTS.sub("", text.strip()) and seconds > 0:
        return seconds
    raise UserError(f"--time {text[:40]}: write a duration above 0, such as 20m, 1h or 1h30m")
