"""The trainings of a plan: the recipe of a preset scaled to the images, or batches of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from spos.cost import CostModel
from spos.data.peek import ImageFacts
from spos.nn.supernet import Supernet
from spos.run.config import Config, make_config
from spos.run.planning.mixtures import split_sizes
from spos.run.planning.plan import LEAST_STEPS, Draft, is_open
from spos.run.planning.speed import Speed
from spos.spaces import family

#: Images that a training sees grow with the number of images of the data set to this power.
GROWTH = 0.6
#: Steps of an epoch at least; larger batches are made smaller.
STEPS_OF_EPOCH = 8
#: Multiply-adds of a training that nobody needs a plan for: minutes on a single core.
SHORT = 3e12
#: Multiply-adds of a step beside those of a forward pass.
FORWARD_AND_BACKWARD = 3
#: Images that a training sees where no time is given, for a data set of 1,000 images; they grow
#: with its size to the power of `GROWTH`.
IMAGES = 100_000
#: Share of them for which the networks are chosen where a time is given.
HURRIED = 0.75
#: Most epochs of a training.
MOST_EPOCHS = 400
#: Largest batches of a network and of a supernet, before they grow.
NETWORK, SUPERNET = 64, 32
#: Share of a step that kernel launches may take on an accelerator before batches are doubled, and
#: by how much they grow at most.
WAITING, MOST_GROWTH = 0.25, 4
#: Learning rate of a training that begins from the weights of the supernet, as a share of that of
#: one from scratch.
GENTLER = 0.5
#: Norm to which gradients are clipped without batch norm: the usual one.
LARGEST_GRADIENT = 1.0
#: Why their augmentation is another one.
GREY = "grey images: no flips"


def suits(config: Config, count: int) -> bool:
    """Whether the recipe of the preset suits a number of images: about as many as it was made for.

    Example:
        >>> from spos.run.config import make_config
        >>> config = make_config({"space": {"preset": "cifar"}})
        >>> suits(config, 60_000), suits(config, 2_000)
        (True, False)
    """
    return 0.5 <= count / family(config.space).defaults_of(config.preset).images <= 2


def is_short(config: Config, table: CostModel) -> bool:
    """Whether the trainings of a run take minutes at most."""
    flops = table.range()["flops"][1]
    images = sum(recipe.steps * recipe.batch_size for recipe in (config.supernet, config.retrain))
    return FORWARD_AND_BACKWARD * flops * images < SHORT


def scale_recipe(draft: Draft, config: Config, images: int, *, grey: bool) -> None:
    """Scale the trainings of a preset to a number of images.

    Chosen are batch size, learning rate, steps and augmentation of both trainings, as far as they
    change.

    Args:
        draft (Draft): settings so far; they are chosen there.
        config (Config): configuration with the recipes of the preset.
        images (int): images to train on.
        grey (bool): whether they are grey.
    """
    reference = family(config.space).defaults_of(config.preset).images
    for section in ("supernet", "retrain"):
        recipe, batch = getattr(config, section), getattr(config, section).batch_size
        given = "batch_size" in draft.given.get(section, {})
        while not given and batch > 16 and batch * STEPS_OF_EPOCH > images:
            batch //= 2
        if batch != recipe.batch_size:
            draft.choose(f"{section}.batch_size", batch, f"{images:,} images")
            rate = recipe.learning_rate * batch / recipe.batch_size
            draft.choose(f"{section}.learning_rate", rate, "smaller batches")
        seen = (images / reference) ** GROWTH * recipe.steps * recipe.batch_size
        steps = max(round(seen / batch), LEAST_STEPS["supernet.steps"])
        reason = (
            f"{steps * batch / images:.0f} epochs; the preset has {recipe.steps:,} steps for "
            f"{reference:,} images"
        )
        draft.choose(f"{section}.steps", steps, reason)
        if grey and recipe.augment == "standard":
            draft.choose(f"{section}.augment", "crop", GREY)


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
    if config.network.name:
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


class BatchSizes:
    """Batch sizes for a number of images.

    Args:
        images (int): number of images to train on.

    Example:
        >>> few, many = BatchSizes(400), BatchSizes(50_000)
        >>> (few.supernet, few.network), (many.supernet, many.network)
        ((32, 32), (32, 64))
    """

    def __init__(self, images: int) -> None:
        self.images = images
        self.growth = 1

    @property
    def network(self) -> int:
        """Images of a step of a network's training."""
        if self.images < 32:
            return max(2, self.images // 2)
        return self.growth * (NETWORK if self.images >= 1500 else 32 if self.images >= 300 else 16)

    @property
    def supernet(self) -> int:
        """Images of a step of a supernet's training."""
        return min(SUPERNET * self.growth, self.network)

    def grow(self, device: torch.device, speed: Speed, seconds: Callable[[int], float]) -> None:
        """Double the batches while kernel launches take much of a step on an accelerator.

        Args:
            device (torch.device): device of the training; on a CPU nothing grows.
            speed (Speed): its measured speed.
            seconds (Callable): function from a batch size to the time of a step of a network.
        """
        while (
            device.type != "cpu"
            and self.growth < MOST_GROWTH
            and 20 * self.network <= self.images
            and speed.training.fixed > WAITING * seconds(self.network)
        ):
            self.growth *= 2


def choose_recipes(
    draft: Draft, facts: ImageFacts, sizes: BatchSizes, searched: int, *, hurried: bool
) -> None:
    """Choose batches, learning rates, augmentation and calibration.

    Args:
        draft (Draft): settings so far; they are chosen there.
        facts (ImageFacts): what the images are like.
        sizes (BatchSizes): batch sizes for the images.
        searched (int): images that the supernet is trained on.
        hurried (bool): whether there is a time for the whole run.
    """
    few = f"{sizes.images} images"
    if sizes.growth > 1:
        few += "; larger batches hide kernel launches"
    batch, config = max(2, min(sizes.supernet, searched)), draft.config()
    if config.required_method:
        batch = max(2, min(batch, *split_sizes(config, searched)))
    draft.choose("supernet.batch_size", batch, few)
    draft.choose("retrain.batch_size", sizes.network, few)
    # More of them rank no better.
    draft.choose("run.calibration", min(256, sizes.images // 2), f"{sizes.images} images")
    augment = "crop" if facts.grey else "standard"
    reason = GREY if facts.grey else "crops and flips"
    draft.choose("supernet.augment", augment, reason)
    draft.choose("retrain.augment", augment, "")
    # Supernets of larger batches diverge at rates that single networks bear.
    rates = {"supernet": sizes.growth**0.5, "retrain": float(sizes.growth)}
    if hurried:
        reason = "inherited weights need fewer steps than fresh ones"
        if draft.choose("network.weights", "supernet", reason) == "supernet":
            rates["retrain"] *= GENTLER
    for section, factor in rates.items():
        if factor != 1:
            rate = getattr(draft.config(), section).learning_rate
            reason = "larger batches" if sizes.growth > 1 else ""
            draft.choose(f"{section}.learning_rate", factor * rate, reason)


def choose_clipping(draft: Draft, supernet: Supernet) -> None:
    """Clip gradients where no batch norm keeps the outputs of layers in bounds.

    Args:
        draft (Draft): settings so far; the clipping is chosen there.
        supernet (Supernet): supernet of the run.
    """
    if any(isinstance(module, _BatchNorm) for module in supernet.modules()):
        return
    draft.choose("supernet.gradient_clip", LARGEST_GRADIENT, "networks have no batch norm")
    draft.choose("retrain.gradient_clip", LARGEST_GRADIENT, "")


def most_steps(images: int, batch: int) -> int:
    """The most steps of a training that bring anything: 400 epochs, of 500 images at least.

    Example:
        >>> most_steps(1000, 100), most_steps(100, 100)
        (4000, 2000)
    """
    return MOST_EPOCHS * max(images, 500) // batch


def unhurried_steps(images: int, batch: int) -> int:
    """Steps of a training for which no time is given.

    Example:
        >>> unhurried_steps(1000, 50)
        2000
    """
    return max(min(round(trained_images(images) / batch), most_steps(images, batch)), 20)


def trained_images(count: int) -> float:
    """Images that a training of a data set of so many sees where no time is given."""
    return float(IMAGES * max(count / 1000, 0.3) ** GROWTH)
