"""The recipe of a preset, for other images than it was made for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from spos.cost import CostModel
from spos.run.config import Config, find_required_method, make_config
from spos.run.planning.plan import LEAST_STEPS, Choice, is_open
from spos.spaces import family

#: Images that a training sees grow with the number of images of the data set to this power.
GROWTH = 0.6
#: Steps of an epoch at least; larger batches are made smaller.
STEPS_OF_EPOCH = 8
#: Multiply-adds of a training that nobody needs a plan for: minutes on a single core.
SHORT = 3e12
#: Multiply-adds of a step beside those of a forward pass.
FORWARD_AND_BACKWARD = 3


def suits(config: Config, count: int) -> bool:
    """Whether the recipe of the preset suits a number of images: about as many as it was made for.

    Example:
        >>> from spos.run.config import make_config
        >>> config = make_config({"space": {"preset": "cifar"}})
        >>> suits(config, 60_000), suits(config, 2_000)
        (True, False)
    """
    return 0.5 <= count / family(config.space).plan(config.preset).images <= 2


def is_short(config: Config, table: CostModel) -> bool:
    """Whether the trainings of a run take minutes at most."""
    flops = table.range()["flops"][1]
    images = sum(recipe.steps * recipe.batch_size for recipe in (config.supernet, config.retrain))
    return FORWARD_AND_BACKWARD * flops * images < SHORT


def scale_recipe(given: Mapping[str, Any], config: Config, images: int) -> list[Choice]:
    """Scale the trainings of a preset to a number of images.

    Args:
        given (Mapping): settings that the user gave; they are left as they are.
        config (Config): configuration with the recipes of the preset.
        images (int): images to train on.

    Returns:
        Batch size, learning rate and steps of both trainings, as far as they change.
    """
    reference = family(config.space).plan(config.preset).images
    ratio = (images / reference) ** GROWTH
    choices = []
    for section in ("supernet", "retrain"):
        recipe, own = getattr(config, section), given.get(section, {})
        batch = recipe.batch_size
        while "batch_size" not in own and batch > 16 and batch * STEPS_OF_EPOCH > images:
            batch //= 2
        if batch != recipe.batch_size:
            choices.append(Choice(f"{section}.batch_size", batch, f"{images:,} images"))
            if "learning_rate" not in own:
                rate = recipe.learning_rate * batch / recipe.batch_size
                choices.append(Choice(f"{section}.learning_rate", rate, "smaller batches"))
        if "steps" not in own:
            seen = ratio * recipe.steps * recipe.batch_size
            steps = max(round(seen / batch), LEAST_STEPS["supernet.steps"])
            reason = (
                f"{steps * batch / images:.0f} epochs; the preset has {recipe.steps:,} steps for "
                f"{reference:,} images"
            )
            choices.append(Choice(f"{section}.steps", steps, reason))
    return choices


def needs_plan(given: Mapping[str, Any], channels: int = 3) -> bool:
    """Whether a run without a time needs a plan.

    It does where the space is left open, where images are given but not the steps of the trainings,
    and where it takes more than minutes.

    Args:
        given (Mapping): settings by section that the user gave.
        channels (int): channels of the images.

    Example:
        >>> needs_plan({"space": {"preset": "tiny"}}), needs_plan({"space": {"preset": "cifar"}})
        (False, True)
    """
    if is_open(given):
        return True
    config = make_config(given)
    if config.network.name or find_required_method(config.search.algorithm):
        return False
    if "source" in given.get("data", {}) and not all(
        "steps" in given.get(section, {}) for section in ("supernet", "retrain")
    ):
        return True
    space = family(config.space)
    with torch.device("meta"):
        supernet = space.build(config.layout, classes=10, image_channels=channels)
        table = space.costs(supernet, eager=False)
    return not is_short(config, table)
