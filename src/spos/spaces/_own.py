"""A model of the user's own as a space of the catalogue."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from spos._util.errors import UserError
from spos._util.identity import identity
from spos._util.reached import reached
from spos._util.values import shown_attributes
from spos.nn.choice import ChoiceModule
from spos.nn.copying import check_copies, copy_module
from spos.nn.supernet import Supernet
from spos.spaces import SPACES, Family
from spos.spaces._stages import sandwich_defaults
from spos.training.checkpoint import digest as tensors_digest
from spos.training.defaults import DEFAULTS

#: Name of the preset of a model.
PRESET = "own"
#: Models by their digest: several may have a class of the same name, after which a space is named.
_MODELS: dict[str, nn.Module] = {}


@dataclass(frozen=True)
class OwnLayout:
    """What identifies a model.

    Args:
        image_size (int): side of the square input in pixels.
        model (str): digest of its code and of what that uses, of its modules with the shapes of
            their weights, and of the tensors that are not drawn anew.
        affine (bool): whether batch norms keep their affine parameters, shared by all paths.
    """

    image_size: int
    model: str = ""
    affine: bool = False


def register_model(
    model: nn.Module, image_size: int, *, affine: bool = False, digest: str | None = None
) -> str:
    """Add a model with choices to the catalogue, for this process.

    Args:
        model (nn.Module): module with choices (:class:`spos.OneOf`, :class:`spos.nn.Width`), or a
            supernet of one. It is copied before each training, and its layers get fresh weights,
            but for those that are frozen (``requires_grad=False``).
        image_size (int): side of the square input in pixels.
        affine (bool): whether batch norms keep their affine parameters.
        digest (str | None): what it is recognised by, as another process has found it; None to
            find it.

    Returns:
        Name of the space.
    """
    check_copies(model)
    if any(hasattr(module, "_orig_mod") for module in model.modules()):
        raise UserError(
            "the model, or a part of it, is compiled by torch.compile: give the module itself, "
            "which it has as _orig_mod"
        )
    parallel = (nn.DataParallel, nn.parallel.DistributedDataParallel)
    if any(isinstance(module, parallel) for module in model.modules()):
        raise UserError(
            "the model, or a part of it, is wrapped for several devices: give the module itself, "
            "which the wrapper has as module"
        )
    if any(one.is_meta for one in (*model.parameters(), *model.buffers())):
        raise UserError("the model is on the device meta, which holds no numbers: make it on cpu")
    for where, weight in model.named_parameters():
        if weight.is_floating_point() and weight.dtype != torch.float32:
            raise UserError(
                f"the model has weights of {weight.dtype}, such as {where}: images are "
                "torch.float32; give model.float()"
            )
    # A class may have the name of a space of the catalogue.
    name = f"own-{type(model.model if isinstance(model, Supernet) else model).__name__}"
    kept = copy_module(model, {})
    for module in kept.modules():
        # A path that somebody has looked at makes no other model of it.
        if isinstance(module, ChoiceModule):
            module.active = 0
    digest = digest or _digest(kept)
    _MODELS[digest] = kept
    defaults = sandwich_defaults(DEFAULTS["cifar"])
    SPACES[name] = Family(
        paper="a model of your own",
        presets={PRESET: OwnLayout(image_size, digest, affine)},
        build=_build,
        defaults={PRESET: replace(defaults, data="dataset")},
    )
    return name


def find_reset(module: nn.Module) -> Callable[[], None] | None:
    """The method by which a module draws fresh weights; None without one, or if it has arguments.

    Args:
        module (nn.Module): any module.

    Example:
        >>> find_reset(nn.ReLU()) is None, find_reset(nn.Linear(2, 2)) is None
        (True, False)
    """
    reset = getattr(module, "reset_parameters", None)
    if reset is None and type(module).__module__.startswith("torch."):
        # Attention has it under this name alone.
        reset = getattr(module, "_reset_parameters", None)
    if reset is not None:
        # One of the user's own may need numbers that only the module's beginning knows.
        with suppress(TypeError):
            inspect.signature(reset).bind()
            return cast("Callable[[], None]", reset)
    return None


def _digest(model: nn.Module) -> str:
    """What a model is recognised by: its code, its modules, and the weights that it brings."""
    shapes = [f"{path} {tuple(one.shape)}" for path, one in model.state_dict().items()]
    parts = [repr(model), *shapes]
    for path, module in model.named_modules():
        # The text of a module of torch leaves out what it is made of, such as heads of attention.
        if not type(module).__module__.startswith("spos."):
            called = (one for one in vars(module).values() if inspect.isroutine(one))
            parts += [path, type(module).__qualname__, shown_attributes(vars(module))]
            parts += map(identity, called)
        drawn = find_reset(module) is not None
        kept = {f"{path}.{name}": one for name, one in (_frozen if drawn else _own_tensors)(module)}
        if kept or not drawn:
            parts.append(tensors_digest(kept, ""))
    parts += reached({type(module) for module in model.modules()})
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _is_frozen(tensor: Tensor) -> bool:
    return isinstance(tensor, nn.Parameter) and not tensor.requires_grad


def _frozen(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """The frozen weights of a module itself; where all are, its statistics as well."""
    weights = [*module.parameters(recurse=False)]
    every = bool(weights) and all(map(_is_frozen, weights))
    yield from ((name, one) for name, one in _own_tensors(module) if every or _is_frozen(one))


def _own_tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """The tensors of a module itself, of which a checkpoint may hold the parameters alone."""
    yield from module.named_parameters(recurse=False)
    yield from module.named_buffers(recurse=False)
    yield from ((name, one) for name, one in vars(module).items() if isinstance(one, Tensor))


def own_model(layout: Any) -> nn.Module | None:
    """The model of a layout, which another process has to register anew; None for other layouts.

    Args:
        layout (Any): layout of any space.
    """
    return _MODELS.get(layout.model) if isinstance(layout, OwnLayout) else None


def _build(layout: OwnLayout, *, classes: int, image_channels: int = 3) -> Supernet:
    if layout.model not in _MODELS:
        raise UserError(
            f"layout.model {layout.model}: this process has no such model; give it to spos.search"
        )
    fresh = copy_module(_MODELS[layout.model], {})
    # No training would make anything of fresh ones.
    frozen = [(one, one.clone()) for part in fresh.modules() for _, one in _frozen(part)]
    # Those inside a module first: it may know better how they begin.
    for module in reversed(list(fresh.modules())):
        reset = find_reset(module)
        if reset is not None:
            reset()
    with torch.no_grad():
        for one, before in frozen:
            one.copy_(before)
    if isinstance(fresh, Supernet):
        return fresh
    shape = (image_channels, layout.image_size, layout.image_size)
    return Supernet(fresh, shape, affine=layout.affine)
