"""Parts of a supernet, which are stages with fixed options and an input; identical stages."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map_only

from spos._util.errors import UserError, is_out_of_memory
from spos.nn.choice import ChoiceModule
from spos.nn.copying import copy_module
from spos.nn.supernet import Stage, Supernet
from spos.space import Architecture

Module = TypeVar("Module", bound=nn.Module)
#: The options of the choices that a stage reads, in their order.
Options = tuple[int, ...]
#: Costs in the order of their names.
Costs = tuple[int, ...]


@dataclass(frozen=True)
class Part:
    """A stage of a supernet with fixed options and an input.

    Args:
        supernet (Supernet): supernet on the meta device.
        first_identical (int): number of the first stage that is identical to this one.
        number (int): number of the stage, from 0.
        options (Options): one option index for each choice that the stage reads.
        value (Any): input of the stage for one image: a meta tensor or a nested structure of meta
            tensors.
    """

    supernet: Supernet
    first_identical: int
    number: int
    options: Options
    value: Any

    @property
    def stage(self) -> Stage:
        return self.supernet.stages[self.number]

    @property
    def architecture(self) -> Architecture:
        """An architecture with these options, and the first option of every other choice."""
        chosen = dict(zip(self.stage.choices, self.options, strict=True))
        return Architecture(chosen.get(place, 0) for place in range(len(self.supernet.space)))

    def network(self) -> nn.Module:
        """Return the part as a module without choices, on the meta device."""
        return self.supernet.extract(self.architecture, self.stage)


@dataclass(frozen=True)
class Counter:
    """Counter of the costs of a part of a supernet.

    Args:
        names (tuple[str, ...]): names of the costs.
        count (Callable[[Part], tuple[Costs, Any]]): returns the costs of a part as integers, and
            its output; raises UserError if the part does not run.
        peak (bool): whether the cost of an architecture is the largest value of a part instead of
            the sum.
        first_apart (bool): whether a constant cost of the whole network is added to its first
            stage, which is then like no other.
    """

    names: tuple[str, ...]
    count: Callable[[Part], tuple[Costs, Any]]
    peak: bool = False
    first_apart: bool = False


def on_meta(module: Module) -> Module:
    """Copy a module to the meta device, where tensors have shapes but no values or memory.

    Args:
        module (nn.Module): any module; shared parameters stay shared in the copy.

    Example:
        >>> on_meta(nn.Linear(2, 3)).weight.device
        device(type='meta')
    """
    memo: dict[int, Any] = {id(buffer): buffer.to("meta") for buffer in module.buffers()}
    for parameter in module.parameters():
        empty = parameter.detach().to("meta")
        memo[id(parameter)] = nn.Parameter(empty, parameter.requires_grad)
    return copy_module(module, memo)


class InputError(UserError):
    """A module that does not run on an input of this shape."""


def run(module: nn.Module, value: Any, forward: Callable[[Any], Any] | None = None) -> Any:
    """Run a module in evaluation mode on the meta device.

    Args:
        module (nn.Module): module without choices, on the meta device.
        value (Any): input of the module.
        forward (Callable[[Any], Any] | None): function that runs the module on the input; None
            calls the module.

    Returns:
        The output of the module.

    Raises:
        InputError: the module does not run on the input.
    """
    module.eval()
    try:
        with torch.no_grad(), _NormsSkipped():
            return (forward or module)(value)
    except Exception as error:
        if is_out_of_memory(error):
            raise
        given = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else str(type(value))
        reason = (str(error) or type(error).__name__).splitlines()[0]
        if "meta tensor" in reason:
            reason = f"its forward must not depend on the values of tensors ({reason})"
        raise InputError(
            f"{type(module).__name__} does not run on input of {given}: {reason}"
        ) from error


class OnMeta(TorchFunctionMode):
    """Operations on the meta device, also with tensors that a forward makes on the CPU."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        # An index says which values are taken, and may have to be read.
        if func is not Tensor.__getitem__:
            tensors = [one for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)]
            places = {one.device.type for one in tensors if one.dim()}
            if len(places) > 1:
                args, kwargs = tree_map_only(Tensor, _without_values, (args, kwargs))
        return self.call(func, args, kwargs)

    def call(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Call an operation whose tensors are on one device."""
        return func(*args, **kwargs)


def _without_values(tensor: Tensor) -> Tensor:
    return tensor.to("meta")


class _NormsSkipped(OnMeta):
    # By convention batch norms count no multiply-adds, but on the meta device each of them runs
    # about thirty operations, which would take longer than all convolutions.
    def call(self, func: Any, args: Any, kwargs: Any) -> Any:
        if func is F.batch_norm:
            inputs, mean = args[:2]
            if mean is not None and len(mean) != inputs.shape[1]:
                raise RuntimeError(
                    f"batch norm of {len(mean)} channels on input with {inputs.shape[1]}"
                )
            return torch.empty_like(inputs)
        return func(*args, **kwargs)


def first_identical(supernet: Supernet) -> list[int]:
    """Return for each stage the number of the first stage that is identical to it.

    Stages are identical if their pickles without the names of their choices are. A stage that
    cannot be pickled, such as a module that contains a local function, is identical only to itself.

    Args:
        supernet (Supernet): supernet on the meta device, so that stages do not differ in the values
            of their weights.

    Example:
        >>> from torch import nn
        >>> from spos.cost.part import on_meta
        >>> from spos.nn import OneOf
        >>> def layer(kernel):
        ...     return OneOf({"conv": nn.Conv2d(3, 3, kernel), "skip": nn.Identity()})
        >>> model = nn.Sequential(layer(3), layer(3), layer(1), layer(3))
        >>> first_identical(on_meta(Supernet(model, (3, 9, 9))))
        [0, 0, 2, 0]
    """
    first: dict[bytes, int] = {}
    found = []
    supernet.activate([0] * len(supernet.space))
    for number, stage in enumerate(supernet.stages):
        modules = list(stage.module.modules())
        # A norm whose affine parameters are restored in the network has more parameters.
        restored = [module in supernet._stripped for module in modules]
        readers = {m: m.choice_name for m in modules if isinstance(m, ChoiceModule)}
        # One string object per choice: the pickle records which modules share it.
        places = {
            supernet.space.choices[at].name: f"choice {n}" for n, at in enumerate(stage.choices)
        }
        try:
            for module, name in readers.items():
                module.choice_name = places[str(name)]
            found.append(first.setdefault(pickle.dumps((restored, stage.module), 5), number))
        except Exception:
            # Users' modules may contain anything, so pickling may raise any exception.
            found.append(number)
        finally:
            for module, name in readers.items():
                module.choice_name = name
    return found
