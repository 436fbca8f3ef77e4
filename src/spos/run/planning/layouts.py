"""The networks that a plan searches: their images, their width and their limit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import torch

from spos._util.errors import UserError
from spos._util.randomness import generator
from spos.cost import Constraint, CostModel, CostTable
from spos.cost.cost import format_cost
from spos.data.peek import ImageFacts
from spos.nn.supernet import Supernet
from spos.search import Feasible
from spos.spaces import family
from spos.spaces.mobile import layout_for

#: Space of all plans that leave it open.
SPACE = "mobile"
#: Sides to which larger images are shrunk, tried from the largest.
SIDES = (224, 160, 128, 96, 64, 48, 32)
#: Factors of the channels; images are shrunk before networks are made narrower than `NARROW`.
WIDTHS = (0.25, 0.35, 0.5, 0.6, 0.75, 0.85, 1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0)
NARROW = 0.75
#: Multiply-adds grow with the width to about this power.
GROWTH = 1.85
#: The limit of the multiply-adds as a share of those of the largest network: so that networks which
#: spend them differently are left to choose from, and a random one is not the largest one.
LIMIT = 0.6


@dataclass(frozen=True)
class Chosen:
    """A layout, and the multiply-adds of its networks.

    Args:
        layout (Any): layout of the space.
        table (CostModel): costs of its networks.
        limit (float): most multiply-adds of the networks to search.
        width (float): factor of the channels.
    """

    layout: Any
    table: CostModel
    limit: float
    width: float


def build(space: str, layout: Any, facts: ImageFacts) -> Supernet:
    """Build a supernet for images."""
    classes, channels = max(facts.classes, 1), facts.channels
    return family(space).build(layout, classes=classes, image_channels=channels)


def choose_layout(
    facts: ImageFacts, affordable: Callable[[int], float], bounds: Constraint
) -> Chosen:
    """Choose the largest images, then the widest networks, that time and limits allow.

    Args:
        facts (ImageFacts): what the images are like.
        affordable (Callable[[int], float]): multiply-adds of a network that there is time to
            train, by the side of its images in pixels.
        bounds (Constraint): limits that the user gave.

    Raises:
        UserError: no network of any width is within the limits.
    """
    own = bounds.maximum.get("flops", float("inf"))
    side, classes, channels = facts.side, max(facts.classes, 1), facts.channels
    sides = [min(side, SIDES[0]), *(one for one in SIDES if one < side)]
    for image_size in dict.fromkeys(sides):
        timely = affordable(image_size)
        most = min(timely, own)
        chosen = _chosen(image_size, 1.0, classes, channels)
        if chosen.limit * NARROW**GROWTH <= most:
            break
    fitting = [width for width in WIDTHS if chosen.limit * width**GROWTH <= 1.1 * most]
    for width in reversed(fitting or WIDTHS[:1]):
        if width != 1:
            chosen = _chosen(image_size, width, classes, channels)
        if _some_satisfy(chosen.table, bounds):
            # The user's own limit applies where it leaves networks to choose from.
            near = own <= timely * 1.1 and 0.35 < own / chosen.limit * LIMIT < 0.85
            return replace(chosen, limit=own if near else min(chosen.limit, own))
    least = {
        name: cost for name, (cost, _) in chosen.table.range().items() if name in bounds.maximum
    }
    smallest = ", ".join(f"{format_cost(name, cost)} {name}" for name, cost in least.items())
    known = f"; the smallest has {smallest}" if smallest else ""
    raise UserError(f"no network for images of {image_size} pixels satisfies {bounds}{known}")


# A plan tries several, and the next plan the same ones.
@lru_cache(maxsize=32)
def _chosen(image_size: int, width: float, classes: int, channels: int) -> Chosen:
    layout = layout_for(image_size, width)
    with torch.device("meta"):
        supernet = family(SPACE).build(layout, classes=classes, image_channels=channels)
    table = CostTable(supernet)
    return Chosen(layout, table, LIMIT * table.range()["flops"][1], width)


def _some_satisfy(table: CostModel, bounds: Constraint) -> bool:
    maximum, minimum = (
        {name: value for name, value in side.items() if name in table.names}
        for side in (bounds.maximum, bounds.minimum)
    )
    try:
        Feasible(table.space, table, Constraint(maximum, minimum)).draw(1, generator(0, "plan"))
    except UserError:
        return False
    return True
