"""Base class and checks of layouts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, TypeVar, cast

from spos._util.errors import UserError
from spos.training.recipe import Recipe
from spos.training.recipes import PLANS, Plan

Own = TypeVar("Own", bound="StagedLayout")

#: Largest factor of channels.
MOST = 16


@dataclass(frozen=True)
class StagedLayout:
    """A layout of a sequence of stages; subclasses define their ``channels``."""

    def scaled(self: Own, width: float) -> Own:
        """Scale the channels of all stages, rounded to the nearest multiple of 4.

        Raises:
            UserError: ``width`` is not a number above 0.

        Example:
            >>> from spos.spaces.shufflenetv2 import PRESETS
            >>> PRESETS["imagenet"].scaled(0.5).channels
            (32, 80, 160, 320)
        """
        if not isinstance(width, (int, float)) or not 0 < width < math.inf:
            raise UserError(f"width {width}: must be a number above 0")
        channels = tuple(_scale(count, width) for count in cast(Any, self).channels)
        return cast(Own, replace(cast(Any, self), channels=channels))

    def scaled_throughout(self: Own, width: float) -> Own:
        """Scale all channels, also those before and after the stages.

        Raises:
            UserError: ``width`` is not a number above 0.

        Example:
            >>> from spos.spaces.shufflenetv2 import PRESETS
            >>> PRESETS["imagenet"].scaled_throughout(0.5).head_channels
            512
        """
        around = ("stem_channels", "first_channels", "head_channels")
        counts = {name: getattr(self, name, 0) for name in around}
        scaled = {name: _scale(count, width) for name, count in counts.items() if count}
        return cast(Own, replace(cast(Any, self.scaled(width)), **scaled))


def _scale(count: int, width: float) -> int:
    return max(4, round(count * width / 4) * 4)


def check_stages(layout: Any, *others: str) -> None:
    """Check that the settings of a layout have one value of at least 1 per stage.

    Args:
        layout (Any): layout with ``channels`` per stage.
        *others (str): names of further settings with one value per stage, such as ``depths``.

    Raises:
        UserError: the lengths differ, there is no stage, or a value is below 1.
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
    """Check that settings of a layout are at least 1.

    Raises:
        UserError: a setting is below 1.
    """
    for name in names:
        if getattr(layout, name) < 1:
            raise UserError(f"layout.{name} {getattr(layout, name)}: must be at least 1")


def check_dropout(layout: Any) -> None:
    """Check that the dropout of a layout is in [0, 1).

    Raises:
        UserError: the dropout is out of range.
    """
    if not 0 <= layout.dropout < 1:
        raise UserError(f"layout.dropout {layout.dropout}: must be in [0, 1)")


def check_scales(scales: Sequence[float]) -> None:
    """Check that factors of channels are in ascending order and in range.

    Raises:
        UserError: ``scales`` is empty, not in ascending order or out of range.
    """
    rising = all(low < high for low, high in pairwise(scales))
    if not scales or not rising or not 0 < scales[0] <= scales[-1] <= MOST:
        raise UserError(
            f"layout.scales {', '.join(map(str, scales))}: give numbers above 0, at most {MOST}, "
            "from the smallest to the largest"
        )


def sandwich_plan(plan: Plan, **changes: Any) -> Plan:
    """Change the method of a plan to the sandwich rule, with half the steps: each trains two paths.

    Args:
        plan (Plan): default settings of a preset.
        **changes: further settings of the supernet's recipe.
    """
    recipe: dict[str, Any] = {"method": "sandwich", "steps": plan.supernet.steps // 2, **changes}
    return replace(plan, supernet=replace(plan.supernet, **recipe))


def cluttered_plan() -> Plan:
    """Plan of a preset for the cluttered digits, which is trained in minutes on a CPU core."""
    plan = sandwich_plan(PLANS["tiny"], augment="none")
    retrain = replace(plan.retrain, augment="none", nesterov=True)
    return replace(plan, data="digits:cluttered", retrain=retrain)


def proxy_plans() -> dict[str, Plan]:
    """Plans of a space of a benchmark, whose preset ``proxy`` trains in minutes on a CPU core."""

    def shorten(recipe: Recipe) -> Recipe:
        return replace(recipe, steps=2500, batch_size=64, warmup_steps=50)

    cifar = PLANS["cifar"]
    supernet, retrain = shorten(cifar.supernet), shorten(cifar.retrain)
    proxy = replace(cifar, supernet=supernet, retrain=retrain, calibration=2000)
    return {"cifar": cifar, "tiny": PLANS["tiny"], "proxy": proxy}
