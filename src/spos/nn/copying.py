"""Copies of modules, made as deepcopy makes them but faster.

deepcopy spends most of its time on the dozen dictionaries for hooks that every module of torch has
and few use.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, TypeVar

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.parameter import is_lazy

from spos._util.errors import UserError, explain

Module = TypeVar("Module", bound=nn.Module)
#: Types whose objects are never changed.
_CONSTANT = frozenset((bool, int, float, str, type(None)))
#: Dictionaries of what a module contains.
_CONTENTS = frozenset(("_parameters", "_buffers", "_modules"))


def check_copies(model: nn.Module) -> None:
    """Check that copies of a model have weights of their own that can be trained.

    Raises:
        UserError: it has lazy layers, parts compiled by torch.jit, hooks on gradients, or a state
            that is no tensor.
    """
    if any(map(is_lazy, (*model.parameters(), *model.buffers()))):
        raise UserError(
            "the model has lazy layers, whose sizes are not known yet: run it on an image first"
        )
    for path, parameter in model.named_parameters():
        # deepcopy leaves them out without a word.
        if parameter._backward_hooks or parameter._post_accumulate_grad_hooks:
            raise UserError(
                f"the parameter '{path}' has a hook on its gradient, which copies of the model "
                "would lose: do its work in the forward, or in a hook of a module"
            )
    for path, module in model.named_modules():
        if type(module).get_extra_state is not nn.Module.get_extra_state:
            raise UserError(
                f"{path or type(module).__name__} has a get_extra_state, but checkpoints hold "
                "only tensors: keep its state in buffers"
            )
        # The weights of its copies are no leaves of the graph of gradients.
        if isinstance(module, torch.jit.ScriptModule):
            where = f"its part '{path}'" if path else "the model"
            raise UserError(
                f"{where} is compiled by torch.jit, whose copies cannot be trained: give the "
                "module that was compiled"
            )


def copy_module(module: Module, memo: dict[int, Any]) -> Module:
    """Copy a module and all that it contains.

    Args:
        module (nn.Module): any module.
        memo (dict): copies of objects by their ``id``, as deepcopy uses them; those that are in it
            are taken.

    Raises:
        UserError: something that it contains cannot be copied.

    Example:
        >>> copy_module(nn.Sequential(nn.ReLU()), {})
        Sequential(
          (0): ReLU()
        )
    """
    try:
        return _copy(module, memo)
    # Any object decides itself how it is copied.
    except Exception as error:
        if explain(error) is not None:
            raise
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{type(module).__name__} cannot be copied ({type(error).__name__}: {reason}): models "
            "are copied for each training; keep locks, files, and tensors that a forward has "
            "computed, out of their attributes"
        ) from error


def _copy(module: Module, memo: dict[int, Any]) -> Module:
    # What is contained before what contains it.
    for part in reversed([*_parts(module, memo)]):
        # Others of torch restore references between their parts when they are copied.
        known = type(part).__setstate__ in (nn.Module.__setstate__, _ConvNd.__setstate__)
        of_torch = type(part).__module__.startswith("torch.nn.modules.")
        if id(part) not in memo and of_torch and known:
            _copy_simple(part, memo)
    return copy.deepcopy(module, memo)


def _parts(module: nn.Module, memo: dict[int, Any]) -> Iterator[nn.Module]:
    if id(module) not in memo:
        yield module
        for child in module.children():
            yield from _parts(child, memo)


def _copy_simple(module: nn.Module, memo: dict[int, Any]) -> None:
    duplicate = module.__new__(type(module))
    memo[id(module)] = duplicate
    for name, value in vars(module).items():
        duplicate.__dict__[name] = (
            # These belong to one module, so nothing else refers to them.
            {key: _copy_value(one, memo) for key, one in value.items()}
            if name in _CONTENTS and type(value) is dict
            else _copy_value(value, memo)
        )


def _copy_value(value: Any, memo: dict[int, Any]) -> Any:
    if type(value) in _CONSTANT or (
        type(value) is tuple and all(type(one) in _CONSTANT for one in value)
    ):
        return value
    if isinstance(value, dict) and not value:
        return type(value)()
    known = memo.get(id(value))
    return copy.deepcopy(value, memo) if known is None else known
