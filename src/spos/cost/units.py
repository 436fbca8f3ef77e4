"""Units, and quantities written with suffixes such as 330M, 2MB or 4ms."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from spos._util.errors import UserError


@dataclass(frozen=True)
class Unit:
    """A unit of a quantity, with its suffixes.

    Args:
        factors (Mapping[str, int]): value of each suffix in the smallest unit, in ascending order;
            the first is the suffix of the smallest unit, with value 1.
        described (str): description of valid input, for error messages.
        optional (str): ending of suffixes that users may leave out.
        padded (bool): whether trailing zeros are kept, so that four significant digits are shown.

    Example:
        >>> TIME.parse("4ms"), BYTES.parse("2M"), TIME.format(4250000), BYTES.format(73728)
        (4000000.0, 2000000.0, '4.25ms', '73.73KB')
    """

    factors: Mapping[str, int]
    described: str
    optional: str = ""
    padded: bool = True

    @property
    def symbol(self) -> str:
        """Suffix of the smallest unit: empty, ``B`` or ``ns``."""
        return next(iter(self.factors))

    def suffix(self, value: float) -> str:
        """Return the largest suffix that does not exceed a value.

        Example:
            >>> COUNT.suffix(322918720), TIME.suffix(350000)
            ('M', 'us')
        """
        fitting = (s for s, f in reversed([*self.factors.items()]) if abs(value) >= f)
        return next(fitting, self.symbol)

    def parse(self, text: str | float, what: str = "quantity") -> float:
        """Parse a number with a suffix.

        Args:
            text (str | float): quantity such as ``"330M"``; numbers are in the smallest unit.
            what (str): name of the quantity in error messages.

        Returns:
            The value in the smallest unit.

        Raises:
            UserError: the text is not a positive quantity of this unit.
        """
        try:
            value = self._read(text) if isinstance(text, str) else float(text)
        except OverflowError:
            value = math.inf
        if not 0 < value < math.inf:
            raise UserError(f"{what} '{text!s:.40}' is not {self.described}")
        return value

    def _read(self, text: str) -> float:
        match = re.fullmatch(
            r"\s*(\d+(?:_\d+)*(?:\.\d+)?(?:e[+-]?\d+)?)\s*([a-zµ]*)\s*", text, re.I
        )
        if not match:
            return math.nan
        given = match[2].lower().replace("µ", "u")
        factors = {suffix.lower(): factor for suffix, factor in self.factors.items()}
        if self.optional and not given.endswith(self.optional.lower()):
            given += self.optional.lower()
        return float(match[1]) * factors.get(given, math.nan)

    def format(self, value: float) -> str:
        """Format a value with a suffix and four significant digits."""
        value = float(f"{value:.4g}")
        suffix = self.suffix(value)
        scaled = value / self.factors[suffix]
        if not self.padded or suffix == self.symbol:
            return f"{scaled:.4g}{suffix}"
        return f"{scaled:.{max(0, 4 - len(str(int(abs(scaled)))))}f}{suffix}"


COUNT = Unit(
    {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12},
    "a positive number such as 330M, 3.5M, 1.2G or 250000",
)
BYTES = Unit(
    {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12},
    "a positive size such as 2MB, 512KB or 250000",
    optional="B",
)
#: Times in nanoseconds.
TIME = Unit(
    {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9},
    "a time such as 4ms, 350us or 0.1s",
    padded=False,
)
