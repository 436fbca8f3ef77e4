"""What a step of a training trains: the base of all methods, and their registry."""

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

#: From outputs and targets to the scalar to be minimised, a mean over the batch.
Loss = Callable[[Any, Tensor], Tensor]
#: From a step to the batches of it and all later ones.
Batches = Callable[[int], Iterable[tuple[Tensor, Tensor]]]


class Pass(NamedTuple):
    """One forward pass of a step.

    Args:
        loss (Tensor): scalar to be minimised, a mean over the batch.
        outputs (Any): of the model, for the training accuracy and a teacher; None without them.
    """

    loss: Tensor
    outputs: Any = None


class Method(ABC):
    """How a step of a training goes: its forward passes and their losses.

    A subclass yields losses; the loop takes their gradients one by one, averages them over the
    passes and the devices, and moves the weights. All randomness of a step has to follow from the
    seed and the step (:meth:`random`), so that an interrupted training goes on as if it had not
    been.

    Args:
        model (nn.Module): what is trained, on its device.
        loss (Loss): of outputs and targets.
        recipe (Recipe): optimisation settings.
        seed (int): of everything random.

    Attributes:
        label: what a report calls the method; the name of the class without it.
        settings: names of the settings of :class:`spos.training.SupernetRecipe` that the
            constructor takes as keyword arguments, besides those of every training.
        memory_options: how many options of a layer keep their activations at once; None for all.
        trains_theta: whether probabilities of the options are trained beside the weights.
        passes: how many losses a step yields.

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
    trains_theta: ClassVar[bool] = False
    passes: int = 1

    def __init__(self, model: nn.Module, loss: Loss, recipe: Recipe, seed: int) -> None:
        self.model = model
        self.loss = loss
        self.recipe = recipe
        self.seed = seed

    @abstractmethod
    def losses(self, step: int, inputs: Tensor, targets: Tensor) -> Iterator[Pass]:
        """The losses of a step, as many as ``passes``.

        Each is asked for when the gradients of the one before it are taken, within the precision
        of the training.

        Args:
            step (int): counted from 0.
            inputs (Tensor): batch of the step.
            targets (Tensor): of the batch.
        """

    def forward(self, inputs: Tensor, targets: Tensor) -> Pass:
        """Run the model as it is, on the active path, and take the loss."""
        outputs = self.model(inputs)
        return Pass(self.loss(outputs, targets), outputs)

    def random(self, step: int) -> np.random.Generator:
        """A source of randomness that depends on the seed and the step alone."""
        return generator(self.seed, "paths", step)

    @property
    def supernet(self) -> Supernet:
        """The model, where it is a supernet.

        Raises:
            UserError: it is not.
        """
        if not isinstance(self.model, Supernet):
            raise UserError(
                f"the training method {type(self).__name__} draws paths, and a "
                f"{type(self.model).__name__} has none: give a spos.Supernet"
            )
        return self.model

    def after_step(self, step: int) -> None:  # noqa: B027
        """Do what comes when the optimiser has moved the weights; nothing by default."""

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint holds besides weights and momentum; nothing by default.

        No name may begin with ``model.``, ``optimizer.`` or ``ema.``.
        """
        return {}

    def load(self, tensors: Mapping[str, Tensor]) -> None:  # noqa: B027
        """Take up what :meth:`tensors` gave, out of all tensors of a checkpoint."""


#: The settings of a supernet's recipe that not every method reads.
METHOD_SETTINGS = ("paths", "widening_steps")
#: A class, or a function that makes a method of the same arguments.
MakeMethod = Callable[..., Method]
#: The methods by name, one file each; a package adds one by an entry point ``spos.methods``.
METHODS: Registry[type[Method]] = Registry(
    "training method", "spos.training.methods", "spos.methods"
)


class WholeNetwork(Method):
    """All of a network in every step."""

    label = "all weights"

    def losses(self, step: int, inputs: Tensor, targets: Tensor) -> Iterator[Pass]:
        yield self.forward(inputs, targets)


def method_class(method: MakeMethod) -> Any:
    """The class of a method, where it is one or ``functools.partial`` of one."""
    return method.func if isinstance(method, partial) else method


def method_name(method: str | MakeMethod) -> str:
    """What a run calls a method: its name in the registry, or that of the class.

    Raises:
        UserError: it is neither a name nor a class or function.
    """
    name = method if isinstance(method, str) else getattr(method_class(method), "__name__", None)
    if not name:
        raise UserError(
            f"the training method is {method!r:.50}: give a name, or a class derived from "
            "spos.training.Method"
        )
    return str(name)


def with_settings(method: MakeMethod, recipe: Recipe) -> MakeMethod:
    """A method with those settings of a supernet's recipe that it reads.

    Raises:
        UserError: a setting is given that it does not read.
    """
    if not isinstance(recipe, SupernetRecipe):
        return method
    chosen = method_class(method)
    read = getattr(chosen, "settings", ())
    for name in METHOD_SETTINGS:
        if name not in read and getattr(recipe, name) != getattr(SupernetRecipe, name):
            readers = ", ".join(one for one in METHODS if name in METHODS.find(one).settings)
            raise UserError(
                f"{name} {getattr(recipe, name)}: the training method "
                f"{getattr(chosen, '__name__', chosen)} does not read it; leave it out, or give a "
                f"method that does: {readers}"
            )
    return partial(method, **{name: getattr(recipe, name) for name in read})


def make_method(
    method: str | MakeMethod | None, model: nn.Module, loss: Loss, recipe: Recipe, seed: int
) -> Method:
    """The method of a training.

    Args:
        method (str | MakeMethod | None): name, class, or function that makes one; without it that
            of the recipe, or all weights of a plain network.
        model (nn.Module): trained.
        loss (Loss): of outputs and targets.
        recipe (Recipe): optimisation settings.
        seed (int): of everything random.

    Raises:
        UserError: there is no such method, it is of another kind of model, or does not read a
            setting that is given.
    """
    if method is None:
        named = recipe.method if isinstance(recipe, SupernetRecipe) else "uniform"
        method = METHODS.find(named) if isinstance(model, Supernet) else WholeNetwork
    elif isinstance(method, str):
        method = METHODS.find(method)
    return with_settings(method, recipe)(model, loss, recipe, seed)
