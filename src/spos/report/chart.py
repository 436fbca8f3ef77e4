"""Charts as Vega-Lite specifications, which the page draws."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spos.cost.cost import find_cost

#: Steps of the colour scale; the style sheet has one variable of each.
LEVELS = 24
#: Colours that follow the style of the page, also when it turns dark.
ACCENT, WARM, SOFT, INK, PAPER = (
    f"var(--{name})" for name in ("accent", "warm", "soft", "ink", "paper")
)
#: Vega expressions that write a tick.
PLAIN, PERCENT = "format(datum.value, ',~f')", "format(datum.value, '.6~%')"

#: Fields of a row that say where and how it is drawn.
UNSEEN = ("x", "y", "x2", "y2", "kind")

Row = Mapping[str, Any]
Spec = dict[str, Any]


@dataclass(frozen=True)
class Axis:
    """One axis of a chart.

    Args:
        title (str): what is on it.
        lower (float): value at its beginning.
        upper (float): value at its end.
        label (str): Vega expression that writes a tick.
        whole (bool): whether ticks are at whole numbers only.
    """

    title: str
    lower: float
    upper: float
    label: str = PLAIN
    whole: bool = False

    def encoding(self) -> Spec:
        """Scale and axis of a quantitative channel."""
        whole: Spec = {"tickMinStep": 1} if self.whole else {}
        return {
            "type": "quantitative",
            "scale": {"domain": [self.lower, self.upper], "nice": False, "zero": False},
            "axis": {"title": self.title, "labelExpr": self.label, **whole},
        }


@dataclass(frozen=True)
class Names:
    """A vertical axis of names, from top to bottom."""

    names: Sequence[str]

    def encoding(self) -> Spec:
        """Scale and axis of a nominal channel."""
        axis = {"title": None, "grid": True, "ticks": False, "domain": False}
        return {"type": "nominal", "scale": {"domain": list(self.names)}, "axis": axis}


@dataclass(frozen=True)
class Chart:
    """A chart of a page.

    Args:
        key (str): identifier, unique in the page.
        title (str): what the chart shows.
        description (str): what can be seen in it, for those who do not see it.
        spec (Spec): Vega-Lite specification; the page adds the width and the style.
    """

    key: str
    title: str
    description: str
    spec: Spec


def make_chart(
    key: str,
    title: str,
    description: str,
    x: Axis,
    y: Axis | Names,
    *layers: Spec,
    height: int = 250,
) -> Chart:
    """A chart with axes, which readers can move and magnify.

    Args:
        key (str): identifier, unique in the page.
        title (str): what the chart shows.
        description (str): what can be seen in it.
        x (Axis): horizontal axis; rows have its value as ``x`` unless a layer says otherwise.
        y (Axis | Names): vertical axis, likewise.
        *layers (Spec): marks in the order in which they are drawn (:func:`layer`).
        height (int): height of the area between the axes in pixels.

    Example:
        >>> chart = make_chart("c", "Loss", "It falls.", Axis("step", 0, 9), Axis("loss", 0, 1),
        ...     layer("line", [{"x": 0, "y": 1}, {"x": 9, "y": 0}]))
        >>> chart.spec["layer"][0]["encoding"]["x"]["axis"]["title"]
        'step'
    """
    channels = {"x": x.encoding(), "y": y.encoding()}
    drawn = []
    for one in layers:
        own = one["encoding"]
        on_axes = [channel for channel in channels if "field" in own.get(channel, {})]
        placed = {channel: {**channels[channel], **own[channel]} for channel in on_axes}
        drawn.append({**one, "encoding": {**own, **placed}})
    moved = ["x", "y"] if isinstance(y, Axis) else ["x"]
    # The wheel scrolls the page; with the control key, as a pinch on a touchpad sends it, it zooms.
    select = {"type": "interval", "encodings": moved, "zoom": "wheel![event.ctrlKey]"}
    zoom = {"name": "zoom", "select": select, "bind": "scales"}
    drawn[0] = {**drawn[0], "params": [*drawn[0].get("params", ()), zoom]}
    return Chart(key, title, description, {"height": height, "layer": drawn})


def layer(
    mark: str,
    rows: Sequence[Row] | str,
    *,
    x: str | None = "x",
    y: str | None = "y",
    tooltip: Mapping[str, str] | bool = False,
    encoding: Spec | None = None,
    **style: Any,
) -> Spec:
    """Marks of one kind.

    Args:
        mark (str): kind of the marks.
        rows (Sequence[Row] | str): a row for each of them, or the name of rows that the page has.
        x (str | None): field with the horizontal position; None for marks over the whole width.
        y (str | None): field with the vertical position, likewise.
        tooltip (Mapping[str, str] | bool): heading of each field that appears above a mark; with
            True, all fields whose names are not in :data:`UNSEEN`, which are headings themselves.
        encoding (Spec | None): further channels.
        **style (Any): properties of all marks.
    """
    channels: Spec = {name: {"field": field} for name, field in (("x", x), ("y", y)) if field}
    if tooltip is True and not isinstance(rows, str):
        # A field with a dot or a bracket would be a path.
        seen = [name for name in rows[0] if name not in UNSEEN]
        tooltip = {re.sub(r"([.\[\]])", r"\\\1", name): name for name in seen}
    if isinstance(tooltip, Mapping):
        channels["tooltip"] = [
            {"field": field, "title": title, "type": "nominal"} for field, title in tooltip.items()
        ]
    return {
        "data": {"name": rows} if isinstance(rows, str) else {"values": list(rows)},
        "mark": {"type": mark, "clip": True, **style},
        "encoding": {**channels, **(encoding or {})},
    }


def dots(
    rows: Sequence[Row],
    size: int,
    *,
    opacity: float = 1,
    encoding: Spec | None = None,
    **style: Any,
) -> Spec:
    """Filled dots, above which the fields of their rows appear."""
    style |= {"filled": True, "opacity": opacity, "size": size}
    return layer("point", rows, tooltip=True, encoding=encoding, **style)


def coloured(field: str, colours: Mapping[str, str], *, legend: bool = True) -> Spec:
    """A colour for each name, with a legend above the chart where there are several.

    Example:
        >>> coloured("series", {"test": "red"})["color"]["legend"] is None
        True
    """
    scale = {"domain": list(colours), "range": list(colours.values())}
    shown = {"title": None} if legend and len(colours) > 1 else None
    return {"color": {"field": field, "type": "nominal", "scale": scale, "legend": shown}}


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


def cost_axis(name: str, lower: float, upper: float, title: str = "") -> Axis:
    """An axis of a cost, whose ticks all have one suffix.

    Example:
        >>> cost_axis("flops", 0, 340000).label
        "datum.value ? format(datum.value / 1000, ',~f') + 'K' : '0'"
    """
    cost = find_cost(name)
    suffix = cost.unit.suffix(upper)
    factor = cost.unit.factors[suffix]
    label = f"datum.value ? format(datum.value / {factor}, ',~f') + '{suffix}' : '0'"
    return Axis(title or cost.title, lower, upper, label)
