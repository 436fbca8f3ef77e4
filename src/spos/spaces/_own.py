"""A model of the user's own as a space of the catalogue."""

from __future__ import annotations

import copy
import hashlib
from dataclasses import dataclass, replace
from typing import Any, cast

from torch import nn

from spos._util.errors import UserError
from spos.nn.supernet import Supernet
from spos.spaces import SPACES, Family
from spos.spaces._stages import sandwich_plan
from spos.training.recipes import PLANS

#: Name of the preset of a model.
PRESET = "own"
#: Models by their digest: several may have a class of the same name, after which a space is named.
_MODELS: dict[str, nn.Module] = {}


@dataclass(frozen=True)
class OwnLayout:
    """What identifies a model.

    Args:
        image_size (int): side of the square input in pixels.
        model (str): digest of its modules and of the shapes of its weights.
        affine (bool): whether batch norms keep their affine parameters, shared by all paths.
    """

    image_size: int
    model: str = ""
    affine: bool = False


def register_model(model: nn.Module, image_size: int, *, affine: bool = False) -> str:
    """Add a model with choices to the catalogue, for this process.

    Args:
        model (nn.Module): module with choices (:class:`spos.OneOf`, :class:`spos.nn.Width`), or a
            supernet of one. It is copied before each training, and its layers get fresh weights.
        image_size (int): side of the square input in pixels.
        affine (bool): whether batch norms keep their affine parameters.

    Returns:
        Name of the space.
    """
    # A class may have the name of a space of the catalogue.
    name = f"own-{type(model.model if isinstance(model, Supernet) else model).__name__}"
    shapes = [f"{path} {tuple(one.shape)}" for path, one in model.state_dict().items()]
    digest = hashlib.sha256("\n".join([repr(model), *shapes]).encode()).hexdigest()[:16]
    _MODELS[digest] = copy.deepcopy(model)
    plan = sandwich_plan(PLANS["cifar"])
    SPACES[name] = Family(
        paper="a model of your own",
        presets={PRESET: OwnLayout(image_size, digest, affine)},
        build=_build,
        plans={PRESET: replace(plan, data="dataset")},
    )
    return name


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
    fresh = copy.deepcopy(_MODELS[layout.model])
    for module in fresh.modules():
        if hasattr(module, "reset_parameters"):
            cast(Any, module).reset_parameters()
    if isinstance(fresh, Supernet):
        return fresh
    shape = (image_channels, layout.image_size, layout.image_size)
    return Supernet(fresh, shape, affine=layout.affine)
