"""Uniform sampling of paths: the method of the paper."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from spos.training.method import METHODS, Loss, Method, Pass
from spos.training.paths import uniform_paths
from spos.training.recipe import Recipe


@METHODS.register("uniform")
class Uniform(Method):
    """Training of random paths, with every option of every choice equally likely.

    Args:
        model (Supernet): supernet to train.
        loss (Loss): loss function of outputs and targets.
        recipe (Recipe): optimisation settings.
        seed (int): seed of the paths, at least 0.
        paths (int): paths per step, each on the same batch, at least 1.
        widening_steps (int): steps over which the choices of sizes open, at least 0.

    Source: Guo et al., Section 3.2.
    """

    label = "uniform paths"
    settings = ("paths", "widening_steps")

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        recipe: Recipe,
        seed: int,
        *,
        paths: int = 1,
        widening_steps: int = 0,
    ) -> None:
        super().__init__(model, loss, recipe, seed)
        self.passes = paths
        self._widening = widening_steps

    def losses(self, step: int, inputs: Tensor, targets: Tensor) -> Iterator[Pass]:
        space = self.supernet.space
        for path in uniform_paths(space, self.seed, step, self.passes, self._widening):
            self.supernet.activate(path)
            yield self.forward(inputs, targets)
