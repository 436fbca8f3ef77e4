"""HTML pages that need no other file: one skeleton and one style for all of them."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from spos.report.chart import LEVELS
from spos.report.network import COLOURS


def fill_template(name: str, **values: Any) -> str:
    """A page as text that can be written as UTF-8."""
    environment = Environment(
        loader=PackageLoader("spos", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template(name).render(
        **values,
        levels=[_ramp(number / (LEVELS - 1)) for number in range(LEVELS)],
        hues=[250, 150, 75, 330, 200, 20, 110, 290][:COLOURS],
    )
    # Class names come from file names, which may be undecodable; the page must be writable all the
    # same.
    return page.encode("utf-8", "replace").decode("utf-8")


def _ramp(share: float) -> tuple[str, str]:
    """A colour of the scale, on light and on dark paper: lightness falls, or rises, evenly."""
    light = (0.84 - 0.50 * share, 95 + 190 * share)
    dark = (0.44 + 0.48 * share, 285 - 185 * share)
    first, second = (f"oklch({lightness:.3f} 0.105 {hue:.0f})" for lightness, hue in (light, dark))
    return first, second
