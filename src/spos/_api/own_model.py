"""A model of the caller's own: its place in the catalogue, and images that its limit allows."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

import torch
from torch import nn

from spos._util.errors import UserError
from spos._util.randomness import generator
from spos.cost import CostModel
from spos.cost.outputs import check_outputs
from spos.cost.part import InputError
from spos.cost.units import COUNT
from spos.data.peek import ImageFacts
from spos.run.planning.layouts import SIDES
from spos.spaces import family
from spos.spaces._own import register_model

#: Share of the networks that the limit has to allow for images made smaller, so that there are some
#: to choose from.
ALLOWED = 0.25


def add_model(
    model: nn.Module,
    facts: ImageFacts,
    side: int | None,
    maximum: Mapping[str, float],
    *,
    affine: bool = False,
) -> tuple[str, str]:
    """Add a model to the catalogue, for images of a size at which its limit can be kept.

    Args:
        model (nn.Module): module with choices.
        facts (ImageFacts): what the images are like.
        side (int | None): side of the images that the caller gave; None to choose it.
        maximum (Mapping[str, float]): upper bounds by the names of costs.
        affine (bool): whether batch norms keep their affine parameters.

    Returns:
        The name of the space, and why images are resized; empty if they are not.

    Raises:
        UserError: the model does not run on such images, or has not one output for each class.
    """
    try:
        name, table = _add(model, side or facts.side, facts, affine)
    except InputError:
        if side is not None:
            raise
        for other in sorted(SIDES, key=lambda one: abs(one - facts.side)):
            with suppress(InputError):
                return _add(model, other, facts, affine)[0], (
                    f"images resized to {other} pixels: the model does not run on {facts.side}, "
                    "their median"
                )
        raise
    limit = maximum.get("flops")
    if side is not None or limit is None or table.range()["flops"][0] <= limit:
        return name, ""
    for smaller in (one for one in SIDES if one < facts.side):
        try:
            name, table = _add(model, smaller, facts, affine)
        except UserError:
            break  # It runs on images of one size.
        sampled = table.many(table.space.sample_many(200, generator(0, "side")))
        if (sampled[:, table.names.index("flops")] <= limit).mean() >= ALLOWED:
            return name, (
                f"images of {smaller} pixels of {facts.side} (median): for larger ones hardly a "
                f"network of the model has at most {COUNT.format(limit)} multiply-adds"
            )
    return _add(model, facts.side, facts, affine)[0], ""


def _add(model: nn.Module, side: int, facts: ImageFacts, affine: bool) -> tuple[str, CostModel]:
    name = register_model(model, side, affine=affine)
    own = family(name)
    (layout,) = own.presets.values()
    with torch.random.fork_rng(devices=[]):
        supernet = own.build(layout, classes=facts.classes, image_channels=facts.channels)
    check_outputs(supernet, facts.classes, everywhere=True)
    return name, own.costs(supernet, eager=False)
