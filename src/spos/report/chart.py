"""Small SVG charts: scales, ticks, marks. All text given is escaped."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from spos.cost.cost import find_cost

#: Steps of the colour scale; the style sheet has one class of each.
LEVELS = 24

Point = tuple[float, float]


def element(name: str, *content: str, **attributes: object) -> Markup:
    """One SVG element; underscores in attribute names stand for hyphens, a last one is dropped.

    Args:
        name (str): name of the element.
        *content (str): text, which is escaped, or other elements.
        **attributes (object): attributes; numbers are rounded to two decimals, None leaves an
            attribute out.

    Example:
        >>> element("text", "a < b", x=1.234, class_="tick")
        Markup('<text x="1.23" class="tick">a &lt; b</text>')
    """
    parts = [
        f' {key.rstrip("_").replace("_", "-")}="{escape(_number(value))}"'
        for key, value in attributes.items()
        if value is not None
    ]
    inside = "".join(str(escape(part)) for part in content)
    return Markup(f"<{name}{''.join(parts)}>{inside}</{name}>")


def _number(value: object) -> object:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else value


def nice_ticks(lower: float, upper: float, count: int = 5) -> list[float]:
    """Round numbers within a range, about as many as asked for.

    Example:
        >>> nice_ticks(0.03, 0.97, 5)
        [0.2, 0.4, 0.6, 0.8]
    """
    rough = (upper - lower) / count
    magnitude = 10.0 ** math.floor(math.log10(rough))
    step = magnitude * min((1, 2, 5, 10), key=lambda nice: abs(nice - rough / magnitude))
    first = math.ceil(lower / step - 1e-9)
    last = math.floor(upper / step + 1e-9)
    return [float(f"{number * step:.15g}") for number in range(first, last + 1)]


def padded_range(
    values: Sequence[float], smallest: float, share: float = 0.05
) -> tuple[float, float]:
    """The range of values with air around them.

    Args:
        values (Sequence[float]): at least one value.
        smallest (float): smallest extent to return, so that equal values have a range too.
        share (float): air on each side, as a share of the extent.

    Example:
        >>> padded_range([5.0], 2.0)
        (4.0, 6.0)
    """
    lower, upper = min(values), max(values)
    air = max((upper - lower) * share, (smallest - (upper - lower)) / 2)
    return lower - air, upper + air


def decimals(ticks: Sequence[float], factor: float = 1.0) -> int:
    """How many decimals tell ticks apart when they are shown divided by a factor.

    Example:
        >>> decimals([0.90, 0.925, 0.95], 0.01)
        1
    """
    for digits in range(4):
        if all(abs(t / factor - round(t / factor, digits)) < 1e-6 for t in ticks):
            return digits
    return 4


def percent_labels(ticks: Sequence[float]) -> list[str]:
    """Ticks of a share as percentages, all with as many decimals.

    Example:
        >>> percent_labels([0.9, 0.925])
        ['90.0%', '92.5%']
    """
    digits = decimals(ticks, 0.01)
    return [f"{tick * 100:.{digits}f}%" for tick in ticks]


def cost_labels(name: str) -> Callable[[Sequence[float]], list[str]]:
    """How the ticks of a cost are written: all with one suffix and as many decimals.

    Example:
        >>> cost_labels("latency")([3500000, 4000000]), cost_labels("flops")([0, 340000])
        (['3.5ms', '4.0ms'], ['0', '340K'])
    """
    unit = find_cost(name).unit

    def labels(ticks: Sequence[float]) -> list[str]:
        suffix = unit.suffix(max(map(abs, ticks), default=0))
        factor = unit.factors[suffix]
        digits = decimals(ticks, factor)
        return [f"{tick / factor:.{digits}f}{suffix}" if tick else "0" for tick in ticks]

    return labels


def plain_labels(ticks: Sequence[float]) -> list[str]:
    """Ticks as numbers, all with as many decimals.

    Example:
        >>> plain_labels([0, 0.5, 1])
        ['0.0', '0.5', '1.0']
    """
    digits = decimals(ticks)
    return [f"{tick:,.{digits}f}" for tick in ticks]


def level(position: int, last: int) -> int:
    """The step of the colour scale for a position from 0 to the last one.

    Example:
        >>> level(0, 19), level(19, 19)
        (0, 23)
    """
    return LEVELS - 1 if last <= 0 else round(position / last * (LEVELS - 1))


@dataclass(frozen=True)
class Axis:
    """One axis of a chart.

    Args:
        label (str): what is on it.
        lower (float): value at its beginning.
        upper (float): value at its end.
        labels (Callable): function that writes ticks.
        whole (bool): whether ticks are at whole numbers only.
    """

    label: str
    lower: float
    upper: float
    labels: Callable[[Sequence[float]], list[str]] = plain_labels
    whole: bool = False

    def ticks(self, count: int) -> list[float]:
        """Round values on the axis."""
        ticks = nice_ticks(self.lower, self.upper, count)
        return [tick for tick in ticks if tick.is_integer()] if self.whole else ticks


class Chart:
    """An SVG with axes, to put marks into in the order in which they are drawn.

    Args:
        key (str): identifier, unique in the page.
        title (str): what the chart shows, for those who do not see it and as its tooltip.
        description (str): what can be seen in it.
        size (tuple[int, int]): width and height in pixels.
        x (Axis): horizontal axis.
        y (Axis | None): vertical axis; None draws none, and vertical values are positions from 0
            to 1.
        margin (tuple[int, int, int, int]): top, right, bottom and left margin in pixels.

    Example:
        >>> chart = Chart("c", "Loss", "It falls.", (200, 100), Axis("step", 0, 9), None)
        >>> chart.circle((3, 0.5), 2)
        >>> str(chart.svg()).count("<circle")
        1
    """

    def __init__(
        self,
        key: str,
        title: str,
        description: str,
        size: tuple[int, int],
        x: Axis,
        y: Axis | None,
        margin: tuple[int, int, int, int] = (34, 14, 44, 50),
    ) -> None:
        self.key, self.title, self.description = key, title, description
        self.width, self.height = size
        self.top, right, bottom, self.left = margin
        self.right, self.bottom = self.width - right, self.height - bottom
        self._x, self._y = x, y or Axis("", 0, 1)
        self._parts: list[Markup] = []
        self._draw_x(x)
        if y is not None:
            self._draw_y(y)

    def x(self, value: float) -> float:
        """Where a value of the horizontal axis lies."""
        share = (value - self._x.lower) / (self._x.upper - self._x.lower)
        return self.left + share * (self.right - self.left)

    def y(self, value: float) -> float:
        """Where a value of the vertical axis lies."""
        share = (value - self._y.lower) / (self._y.upper - self._y.lower)
        return self.bottom - share * (self.bottom - self.top)

    def add(self, *parts: Markup) -> None:
        """Draw elements made with :func:`element`, in pixels."""
        self._parts.extend(parts)

    def vertical(self, value: float, class_: str, top: float, bottom: float) -> float:
        """Draw a vertical line at a value, between two heights in pixels, and return its place."""
        at = self.x(value)
        self.add(element("path", d=f"M{at:.1f} {top:.1f}V{bottom:.1f}", class_=class_))
        return at

    def text(self, x: float, y: float, text: str, class_: str = "", anchor: str = "start") -> None:
        """Write at a place in pixels."""
        self.add(element("text", text, x=x, y=y, class_=class_ or None, text_anchor=anchor))

    def text_beside(self, x: float, y: float, text: str, class_: str, distance: float) -> None:
        """Write beside a place in pixels, on the side that is nearer to the middle of the chart."""
        if x > (self.left + self.right) / 2:
            self.text(x - distance, y, text, class_, "end")
        else:
            self.text(x + distance, y, text, class_)

    def label_ends(self, *ends: tuple[float, str, str]) -> None:
        """Label the right ends of one or two lines, without labels that cover each other.

        Args:
            ends (tuple[float, str, str]): last value of a line, its label, and its class; of two
                with the same value the first is above.
        """
        ordered = sorted(ends, key=lambda end: -end[0])
        gap = self.y(ordered[-1][0]) - self.y(ordered[0][0])
        # Two labels need a line of text between them, however near the lines end.
        apart = max(0.0, 17 - gap) / 2 if len(ends) == 2 else 0.0
        for (value, text, name), shift in zip(ordered, (-apart, apart), strict=False):
            class_ = f"end {name}-text" if name else "end"
            self.text(self.right + 8, self.y(value) + shift + 4, text, class_)

    def line(self, points: Sequence[Point], class_: str, tooltip: str | None = None) -> None:
        """Join points by a line, with a text that appears above it."""
        inside = () if tooltip is None else (element("title", tooltip),)
        path = "L".join(f"{self.x(x):.1f} {self.y(y):.1f}" for x, y in points)
        self.add(element("path", *inside, d=f"M{path}", class_=f"line {class_}"))

    def circle(
        self, point: Point, radius: float, class_: str | None = None, tooltip: str | None = None
    ) -> None:
        """Draw a dot, with a text that appears above it."""
        inside = () if tooltip is None else (element("title", tooltip),)
        x, y = self.x(point[0]), self.y(point[1])
        self.add(element("circle", *inside, cx=x, cy=y, r=radius, class_=class_))

    def svg(self) -> Markup:
        """The chart as an SVG element for an HTML page."""
        name, text = f"{self.key}-title", f"{self.key}-description"
        return element(
            "svg",
            element("title", self.title, id=name),
            element("desc", self.description, id=text),
            *self._parts,
            viewBox=f"0 0 {self.width} {self.height}",
            role="img",
            aria_labelledby=f"{name} {text}",
            class_="chart",
        )

    def _draw_x(self, axis: Axis) -> None:
        ticks = axis.ticks(max(2, (self.right - self.left) // 75))
        self.add(element("path", d=f"M{self.left} {self.bottom}H{self.right}", class_="axis"))
        for tick, label in zip(ticks, axis.labels(ticks), strict=True):
            self.text(self.x(tick), self.bottom + 18, label, "tick", "middle")
            self.add(element("path", d=f"M{self.x(tick):.1f} {self.bottom}v4", class_="axis"))
        self.text(self.right, self.bottom + 37, axis.label, "label", "end")

    def _draw_y(self, axis: Axis) -> None:
        ticks = axis.ticks(max(2, (self.bottom - self.top) // 45))
        for tick, label in zip(ticks, axis.labels(ticks), strict=True):
            at = self.y(tick)
            self.add(element("path", d=f"M{self.left} {at:.1f}H{self.right}", class_="grid"))
            self.text(self.left - 8, at + 4, label, "tick", "end")
        self.text(0, 14, axis.label, "label")
