"""Quantities as people write them: 330M, 3.5M, 1.2G, 4ms."""

from __future__ import annotations

import math
import re

from spos._util.errors import UserError

_FACTORS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
#: The units of times, in nanoseconds.
_TIMES = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9}
#: What the numbers of a cost are in; those of other costs are counts.
UNITS = {"latency": "ns", "memory": "B", "model_bytes": "B"}


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


def parse_cost(name: str, text: str | int | float, what: str = "quantity") -> float:
    """Read a bound of a cost in the way of the cost: 4ms of latency, 2MB of memory, 330M of others.

    Args:
        name: of the cost.
        text: with a suffix; a number is in the unit of the cost (:data:`UNITS`).
        what: what to call it in an error.

    Returns:
        The bound in the unit of the cost; of latency in nanoseconds.

    Raises:
        UserError: the text is no positive number, or one in another unit.

    Example:
        >>> parse_cost("latency", "4ms"), parse_cost("memory", "2MB"), parse_cost("flops", "330M")
        (4000000.0, 2000000.0, 330000000.0)
    """
    unit = UNITS.get(name)
    if not isinstance(text, str) or unit is None:
        return parse_quantity(text, what)
    if unit == "B":
        return parse_quantity(re.sub(r"(?<=[\dkmgtKMGT])[bB]\s*$", "", text), what)
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?(?:e[+-]?\d+)?)\s*(ns|us|µs|ms|s)\s*", text, re.I)
    value = float(match[1]) * _TIMES[match[2].lower().replace("µ", "u")] if match else 0.0
    if not 0 < value < math.inf:
        raise UserError(f"{what} '{text}' is not a time such as 4ms, 350us or 0.1s")
    return value


def format_cost(name: str, value: float) -> str:
    """Write a value of a cost, which is in its unit (:data:`UNITS`), with four figures.

    Example:
        >>> format_cost("latency", 4250000), format_cost("memory", 73728), format_cost("flops", 1e6)
        ('4.25ms', '73.73KB', '1.000M')
    """
    unit = UNITS.get(name)
    if unit == "ns":
        suffix = next((s for s in ("s", "ms", "us") if abs(value) >= _TIMES[s]), "ns")
        return f"{value / _TIMES[suffix]:.4g}{suffix}"
    return format_quantity(value) + (unit or "")
