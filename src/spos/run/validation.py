"""The score on the validation images while a network is retrained."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import nn

from spos._util.randomness import generator
from spos.run.context import Context
from spos.run.network import loader
from spos.run.task import make_fitness
from spos.search.score import score
from spos.training.loop import report_interval
from spos.training.recipe import Recipe

#: Share of the time of a training that its validation takes at most, about.
SHARE = 0.02
#: Forward passes that take as long as an image of a training step.
PASSES = 3
#: Points of a curve at most, and images of a point at least.
MOST, FEWEST_IMAGES = 15, 50


def plan_points(recipe: Recipe, images: int) -> tuple[int, int]:
    """Plan the points of a curve, so that they take little of the time of the training.

    Args:
        recipe (Recipe): optimisation settings.
        images (int): number of validation images.

    Returns:
        Steps from one point to the next, at which the training reports its progress, and images of
        each point; 0 and 0 where a curve would take too long.

    Example:
        >>> plan_points(Recipe(steps=4000, batch_size=64, learning_rate=0.1), 1000)
        (400, 1000)
        >>> plan_points(Recipe(steps=400, batch_size=64, learning_rate=0.1), 1000)
        (40, 153)
        >>> plan_points(Recipe(steps=30, batch_size=16, learning_rate=0.1), 1000)
        (0, 0)
    """
    read = int(SHARE * PASSES * recipe.steps * recipe.batch_size)
    count = min(images, max(FEWEST_IMAGES, read // 10))
    points = min(MOST, read // count) if count else 0
    if points < 2:
        return 0, 0
    interval = report_interval(recipe.steps)
    return interval * math.ceil(recipe.steps / (interval * points)), count


class Validation:
    """Scores a network on validation images at some steps of its training.

    The training is not changed by it: a copy of the network is scored, and nothing random is drawn.

    Args:
        context (Context): the run.
        network (nn.Module): network that is trained in place.
        recipe (Recipe): optimisation settings.
    """

    def __init__(self, context: Context, network: nn.Module, recipe: Recipe) -> None:
        images = context.data.validation
        self.every, count = plan_points(recipe, len(images))
        self.steps, self.network, self._context = recipe.steps, network, context
        self._fitness = make_fitness(context.task, "metric")
        if self.every:
            chosen = generator(context.config.run.seed, "validation").permutation(len(images))
            self._batches = loader(context, images.subset(sorted(chosen[:count].tolist())))
            self._facts = {
                "validation_images": count,
                "held_out": context.config.network.hold_out,
            }
            # Now, because a module in training may hold what cannot be copied.
            self._copy = copy.deepcopy(network)

    def measure(self, step: int) -> dict[str, Any]:
        """What is recorded of a step; nothing between the points, and no score that is not finite.

        Args:
            step (int): number of finished steps.
        """
        if not self.every or (step % self.every and step != self.steps):
            return {}
        fabric, fitness = self._context.fabric, self._fitness
        devices = [fabric.device] if fabric.device.type == "cuda" else []
        # Whoever loads images, or a metric of the user's own, may draw from torch.
        with torch.random.fork_rng(devices), fabric.autocast():
            self._copy.to(fabric.device).load_state_dict(self.network.state_dict())
            value = score(self._copy, self._batches, fitness.metric, fitness.evaluate)
        return {"validation": value, **self._facts} if math.isfinite(value) else {}
