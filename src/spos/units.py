"""Quantities as people write them: 330M, 3.5M, 1.2G."""

from __future__ import annotations

import math
import re

from spos.errors import UserError

_FACTORS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def parse_quantity(text: str | int | float, what: str = "quantity") -> float:
    """Read a number with an optional decimal suffix K, M, G or T.

    Args:
        text: such as ``"330M"``; a number is taken as it is.
        what: what to call it in an error.

    Raises:
        UserError: the text is no positive number.

    Example:
        >>> parse_quantity("3.5M")
        3500000.0
    """
    if not isinstance(text, str):
        value = float(text)
    else:
        match = re.fullmatch(r"\s*(\d+(?:_\d+)*(?:\.\d+)?(?:e\+?\d+)?)\s*([kmgt]?)\s*", text, re.I)
        value = float(match[1]) * _FACTORS[match[2].upper()] if match else -1.0
    if not 0 < value < math.inf:
        raise UserError(
            f"{what} '{text}' is not a positive number such as 330M, 3.5M, 1.2G or 250000"
        )
    return value


def format_quantity(value: float) -> str:
    """Write a number with a suffix and four figures.

    Example:
        >>> format_quantity(322918720)
        '322.9M'
    """
    value = float(f"{value:.4g}")
    for suffix, factor in reversed(_FACTORS.items()):
        if abs(value) >= factor:
            scaled = value / factor
            digits = max(0, 4 - len(str(int(abs(scaled)))))
            text = f"{scaled:.{digits}f}" if suffix else f"{scaled:.0f}"
            return text + suffix
    return f"{value:g}"
