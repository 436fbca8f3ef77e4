"""Training methods: their base class and their registry."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, ClassVar, NamedTuple

import numpy as np
from torch import Tensor, nn

from spos._util.errors import UserError
from spos._util.randomness import generator
from spos._util.registry import Registry
from spos.nn.supernet import Supernet
from spos.training.recipe import Recipe, SupernetRecipe

#: A function of outputs and targets to the scalar to minimise, a mean over the batch.
Loss = Callable[[Any, Tensor], Tensor]
#: A function of a step to the batches of this and all later steps.
Batches = Callable[[int], Iterable[tuple[Tensor, Tensor]]]


class Pass(NamedTuple):
    """A forward pass of a step.

    Args:
        loss (Tensor): scalar to minimise, a mean over the batch.
        outputs (Any): outputs of the model, for the training accuracy and a teacher; None to use
            neither.
    """

    loss: Tensor
    outputs: Any = None


class Method(ABC):
    """Base class of training methods, which define the forward passes and losses of a step.

    A subclass yields losses. The training loop computes their gradients one by one, averages them
    over the passes and the devices, and updates the weights. All randomness of a step must derive
    from the seed and the step (:meth:`random`), so that a resumed training equals an uninterrupted
    one.

    Args:
        model (nn.Module): model to train, on its device.
        loss (Loss): loss function of outputs and targets.
        recipe (Recipe): optimisation settings.
        seed (int): seed of all randomness, at least 0.

    Attributes:
        label (str): name of the method in reports; empty for the name of the class.
        settings (tuple[str, ...]): settings of :class:`spos.training.SupernetRecipe` that the
            constructor takes as keyword arguments.
        memory_options (int | None): number of options per layer that keep their activations at the
            same time; None for all.
        own_paths (bool): whether each process may draw paths of its own: nothing but the weights is
            carried from step to step.
        trains_theta (bool): whether option probabilities are trained in addition to the weights.
        passes (int): number of losses per step, at least 1.

    Example:
        >>> class Mirrored(Method):
        ...     passes = 2
        ...
        ...     def losses(self, step, inputs, targets):
        ...         self.supernet.activate(self.supernet.space.sample(self.random(step)))
        ...         yield self.forward(inputs, targets)
        ...         yield self.forward(inputs.flip(-1), targets)
    """

    label: ClassVar[str] = ""
    settings: ClassVar[tuple[str, ...]] = ()
    memory_options: ClassVar[int | None] = 1
    own_paths: ClassVar[bool] = False
    trains_theta: ClassVar[bool] = False
    passes: int = 1

    def __init__(self, model: nn.Module, loss: Loss, recipe: Recipe, seed: int) -> None:
        self.model = model
        self.loss = loss
        self.recipe = recipe
        self.seed = seed

    @abstractmethod
    def losses(self, step: int, inputs: Tensor, targets: Tensor) -> Iterator[Pass]:
        """Yield the losses of a step, as many as ``passes``.

        The next one is requested after the gradients of the previous one were computed. The code
        runs in the precision of the training.

        Args:
            step (int): step of the training, from 0.
            inputs (Tensor): images of the batch, shape (batch, channels, height, width).
            targets (Tensor): targets of the batch, shape (batch, ...).
        """

    def forward(self, inputs: Tensor, targets: Tensor) -> Pass:
        """Run the model on its active path, and compute the loss.

        Args:
            inputs (Tensor): images of the batch, shape (batch, channels, height, width).
            targets (Tensor): targets of the batch, shape (batch, ...).
        """
        outputs = self.model(inputs)
        return Pass(self.loss(outputs, targets), outputs)

    def random(self, step: int) -> np.random.Generator:
        """Make a random generator that depends only on the seed and the step.

        Args:
            step (int): step of the training, from 0.
        """
        return generator(self.seed, "paths", step)

    @property
    def supernet(self) -> Supernet:
        """The model as a supernet.

        Raises:
            UserError: the model is not a supernet.
        """
        if not isinstance(self.model, Supernet):
            raise UserError(
                f"the training method {type(self).__name__} draws paths, but a "
                f"{type(self.model).__name__} has no choices: give a spos.Supernet"
            )
        return self.model

    def after_step(self, step: int) -> None:  # noqa: B027
        """Run after the optimiser updated the weights; nothing by default.

        Args:
            step (int): step of the training, from 0.
        """

    def tensors(self) -> dict[str, Tensor]:
        """Tensors to store in a checkpoint besides weights and momentum; none by default.

        No name may start with ``model.``, ``buffer.``, ``optimizer.`` or ``ema.``.
        """
        return {}

    def load(self, tensors: Mapping[str, Tensor]) -> None:  # noqa: B027
        """Restore the tensors of :meth:`tensors`; nothing by default.

        Args:
            tensors (Mapping[str, Tensor]): all tensors of the checkpoint by name.
        """


#: The settings of a supernet's recipe that only some methods use.
METHOD_SETTINGS = ("paths", "widening_steps", "distillation")
#: A class derived from :class:`Method`, or a function with the same arguments.
MakeMethod = Callable[..., Method]
#: Training methods by name, one file each; packages add theirs by an entry point ``spos.methods``.
METHODS: Registry[type[Method]] = Registry(
    "training method", "spos.training.methods", "spos.methods"
)


class WholeNetwork(Method):
    """Training of all weights of a network in every step."""

    label = "all weights"

    def losses(self, step: int, inputs: Tensor, targets: Tensor) -> Iterator[Pass]:
        yield self.forward(inputs, targets)


def method_class(method: MakeMethod) -> Any:
    """Unwrap the class of a method from ``functools.partial``."""
    return method.func if isinstance(method, partial) else method


def method_name(method: str | MakeMethod) -> str:
    """Name a method as in the configuration of a run: by its registry name or its class.

    Raises:
        UserError: the method is neither a name nor a class or function.
    """
    name = method if isinstance(method, str) else getattr(method_class(method), "__name__", None)
    if not name:
        raise UserError(
            f"the training method is {method!r:.50}: give a name, or a class derived from "
            "spos.training.Method"
        )
    return str(name)


def make_method(
    method: str | MakeMethod | None, model: nn.Module, loss: Loss, recipe: Recipe, seed: int
) -> Method:
    """Make the method of a training.

    Args:
        method (str | MakeMethod | None): name, class, or function that makes a method; None for the
            method of the recipe, or for all weights of a plain network.
        model (nn.Module): model to train.
        loss (Loss): loss function of outputs and targets.
        recipe (Recipe): optimisation settings.
        seed (int): seed of all randomness, at least 0.

    Raises:
        UserError: the method does not exist, does not suit the model, or does not use a setting of
            the recipe.
    """
    if method is None:
        named = recipe.method if isinstance(recipe, SupernetRecipe) else "uniform"
        method = named if isinstance(model, Supernet) else WholeNetwork
    if isinstance(method, str):
        method = METHODS.find(method)
    chosen, bound = method_class(method), {}
    if isinstance(recipe, SupernetRecipe):
        bound = {name: getattr(recipe, name) for name in getattr(chosen, "settings", ())}
        for name in METHOD_SETTINGS:
            value = getattr(recipe, name)
            if name not in bound and value != getattr(SupernetRecipe, name):
                readers = ", ".join(one for one in METHODS if name in METHODS.find(one).settings)
                raise UserError(
                    f"{name} {value}: the training method {getattr(chosen, '__name__', chosen)} "
                    f"does not use it; leave it out, or give a method that does: {readers}"
                )
        if not recipe.same_paths and not getattr(chosen, "own_paths", False):
            able = ", ".join(one for one in METHODS if METHODS.find(one).own_paths)
            raise UserError(
                "supernet.same_paths false: with the training method "
                f"{getattr(chosen, '__name__', chosen)} all processes train the same paths; leave "
                "it out, or give a method with which "
                f"they need not: {able}"
            )
    return method(model, loss, recipe, seed, **bound)
