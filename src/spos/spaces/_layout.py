"""What the layouts of several spaces have in common."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, TypeVar, cast

from spos._util.errors import UserError

Own = TypeVar("Own", bound="StagedLayout")

#: The most that channels are multiplied by.
MOST = 16


@dataclass(frozen=True)
class StagedLayout:
    """A layout whose network is a sequence of stages; a subclass has their ``channels``."""

    def scaled(self: Own, width: float) -> Own:
        """The layout with the channels of its stages multiplied, to the nearest multiple of 4.

        Args:
            width: the factor, above 0.

        Raises:
            UserError: it is not above 0.

        Example:
            >>> from spos.spaces.shufflenetv2 import PRESETS
            >>> PRESETS["imagenet"].scaled(0.5).channels
            (32, 80, 160, 320)
        """
        if not isinstance(width, (int, float)) or not 0 < width < math.inf:
            raise UserError(f"width {width}: must be a number above 0")
        channels = cast(Any, self).channels
        scaled = tuple(max(4, round(count * width / 4) * 4) for count in channels)
        return cast(Own, replace(cast(Any, self), channels=scaled))


def check_stages(layout: Any, *others: str) -> None:
    """Refuse a layout that has not one of each for every stage, or one below 1.

    Args:
        layout: with the ``channels`` of its stages.
        others: the names of what else it has for every stage, such as ``depths``.

    Raises:
        UserError: it does not fit together.
    """
    stages = len(layout.channels)
    if not stages:
        raise UserError("layout.channels (): a layout needs at least 1 stage")
    counts = [f"{len(getattr(layout, name))} {name}" for name in others]
    if any(len(getattr(layout, name)) != stages for name in others):
        given = " and ".join((", ".join((f"{stages} stage channels", *counts[:-1])), counts[-1]))
        raise UserError(f"{given}: give one of each per stage")
    for name in ("channels", *others):
        if min(getattr(layout, name)) < 1:
            raise UserError(f"layout.{name} {getattr(layout, name)}: each must be at least 1")


def check_positive(layout: Any, *names: str) -> None:
    """Refuse a setting below 1.

    Raises:
        UserError: one is.
    """
    for name in names:
        if getattr(layout, name) < 1:
            raise UserError(f"layout.{name} {getattr(layout, name)}: must be at least 1")


def check_dropout(layout: Any) -> None:
    """Refuse a dropout that is no probability below 1.

    Raises:
        UserError: it is not.
    """
    if not 0 <= layout.dropout < 1:
        raise UserError(f"layout.dropout {layout.dropout}: must be in [0, 1)")


def check_scales(scales: Sequence[float]) -> None:
    """Refuse factors of channels that do not rise, or are out of their range.

    Raises:
        UserError: they are none.
    """
    rising = all(low < high for low, high in pairwise(scales))
    if not scales or not rising or not 0 < scales[0] <= scales[-1] <= MOST:
        raise UserError(
            f"layout.scales {', '.join(map(str, scales))}: give numbers above 0, at most {MOST}, "
            "from the smallest to the largest"
        )
