"""What distinguishes one training from another within the loop that all of them share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from torch import Tensor, nn

from spos.nn.supernet import Supernet
from spos.training.paths import uniform_paths
from spos.training.recipe import Recipe


class Method(Protocol):
    """How the steps of a training go; of randomness it uses what depends on the step alone.

    ``passes`` prepares the model before each forward and backward pass of a step, whose gradients
    are averaged: as many as the recipe has paths. ``after_step`` is called when the optimiser has
    moved the weights. ``tensors`` is what a checkpoint has to hold besides weights and momentum,
    under names that do not begin with ``model.`` or ``optimizer.``, and ``load`` takes them up
    again out of all tensors of a checkpoint.
    """

    def passes(self, step: int) -> Iterator[None]: ...

    def after_step(self, step: int) -> None: ...

    def tensors(self) -> dict[str, Tensor]: ...

    def load(self, tensors: Mapping[str, Tensor]) -> None: ...


class UniformPaths:
    """Random paths of a supernet, all options equally likely; of any other model, all of it.

    Args:
        model: what is trained.
        recipe: says how many paths a step has.
        seed: of the paths.

    Source: Guo et al., Section 3.2.
    """

    def __init__(self, model: nn.Module, recipe: Recipe, seed: int) -> None:
        self._supernet = model if isinstance(model, Supernet) else None
        self._recipe = recipe
        self._seed = seed

    def passes(self, step: int) -> Iterator[None]:
        """Make each path of a step the active one."""
        if self._supernet is None:
            yield
            return
        recipe = self._recipe
        for path in uniform_paths(
            self._supernet.space, self._seed, step, recipe.paths, recipe.widening_steps
        ):
            self._supernet.activate(path)
            yield

    def after_step(self, step: int) -> None:
        """Nothing else is trained."""

    def tensors(self) -> dict[str, Tensor]:
        """The paths depend on the step alone."""
        return {}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Nothing is carried over."""
