"""The training of a differentiable search in a plan: the time of its steps, and its cooling."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from itertools import repeat

import torch
from torch import Tensor

from spos.cost import CostModel
from spos.nn.supernet import Supernet
from spos.run.config import Config
from spos.run.costs import find_charged_cost
from spos.run.differentiable import charge_theta
from spos.run.planning.measuring import measure_method, random_images
from spos.run.planning.plan import COOLING, Draft, count_falls
from spos.run.planning.precision import autocast
from spos.training.method import METHODS, MakeMethod, make_method
from spos.training.methods._mixture import EPOCHS
from spos.training.recipe import DifferentiableSettings
from spos.training.theta import ThetaParts, choice_modules

#: Steps of the training whose first steps are measured; it is never finished.
STEPS = 1_000_000


def split_sizes(config: Config, images: int) -> tuple[int, int]:
    """Numbers of images that the weights and theta learn from.

    Args:
        config (Config): configuration of the run.
        images (int): training images without those of validation and test.

    Example:
        >>> from spos.run.config import make_config
        >>> split_sizes(make_config({}), 100)
        (80, 20)
    """
    settings = config.differentiable
    if settings.form == "joint":
        return images, images
    size = settings.theta_images
    theta = size if isinstance(size, int) else round(size * images)
    return images - theta, theta


def make_parts(config: Config, supernet: Supernet, costs: CostModel) -> ThetaParts:
    """Make the settings and the cost of theta, before anything is measured.

    Raises:
        UserError: the space or a setting does not suit a differentiable search.
    """
    choice_modules(supernet)  # Raises if a choice is not between modules.
    if find_charged_cost(config) == "latency" and "latency" not in costs.names:
        # It is measured later; the mean of another cost takes as long.
        other = replace(config.differentiable, cost="flops", charge="all", unit=0.0)
        config = replace(config, differentiable=other)
    return charge_theta(config, costs)


def measure_mixture(config: Config, supernet: Supernet, parts: ThetaParts, count: int) -> float:
    """Measure the steps of a differentiable search: their mean time, those of theta included.

    Args:
        config (Config): configuration of the run.
        supernet (Supernet): supernet with weights, on the device to measure.
        parts (ThetaParts): settings and cost of theta.
        count (int): images of a step, at least 2.

    Returns:
        Seconds of a step of the weights, and of the steps of theta that belong to it.

    Raises:
        UserError: the settings do not suit the algorithm.
    """
    settings, recipe = config.differentiable, replace(config.supernet, steps=STEPS)
    device = next(supernet.parameters()).device
    images = random_images(supernet, count, device)
    batch = images, torch.zeros(count, dtype=torch.int64, device=device)
    # Theta is trained in every step that is measured with it.
    always = replace(settings, warmup=0.0, every=1)
    precision = config.run.precision
    parts = replace(
        parts,
        settings=always,
        batches=lambda _: repeat(batch),
        autocast=partial(autocast, precision, device),
    )
    mixture: MakeMethod = METHODS.find(recipe.method)
    method = make_method(partial(mixture, parts=parts), supernet, _loss, recipe, seed=0)
    often = settings.theta_steps(STEPS, STEPS) / STEPS
    return measure_method(method, images, often, precision)


def choose_cooling(draft: Draft, config: Config, images: int) -> int | None:
    """Choose a temperature that falls as far as in the paper, however short the training is.

    Args:
        draft (Draft): settings so far; the decay is chosen there.
        config (Config): configuration with the steps of the training.
        images (int): images that weights and theta learn from.

    Returns:
        Steps of an epoch; None where no decay was chosen.
    """
    settings, recipe = config.differentiable, config.supernet
    learned, _ = split_sizes(config, images)
    epoch = max(1, learned // recipe.batch_size)
    falls = count_falls(recipe.steps, epoch)
    if not getattr(METHODS.find(recipe.method), "cools", False) or falls >= EPOCHS - 1:
        return None
    if not falls:
        reason = f"of no effect in a single epoch: the temperature stays {settings.temperature:g}"
        draft.choose(COOLING, settings.temperature_decay, reason)
        return None
    last = DifferentiableSettings().temperature_at(EPOCHS - 1)
    decay = max(0.0, math.log(settings.temperature / last)) / falls
    few = f"{falls + 1} epochs of the {learned} images of the weights"
    reason = f"cools to {last:.2g} in {few}, as in the {EPOCHS} epochs of FBNet"
    draft.choose(COOLING, decay, reason)
    return epoch


def _loss(outputs: Tensor, targets: Tensor) -> Tensor:
    return torch.nn.functional.cross_entropy(outputs.flatten(1), targets)
