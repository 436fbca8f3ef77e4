"""Which stages of a supernet are built alike, so that one of them is counted for all."""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterator
from contextlib import contextmanager

from spos.nn.choice import ChoiceModule
from spos.nn.supernet import Stage, Supernet


def kinds(supernet: Supernet) -> list[int]:
    """The number of the first stage that each stage is built like.

    Alike are stages that are the same byte for byte once they are written down without the names of
    their choices. What cannot be written down, such as a module with a local function in it, is
    like nothing else.

    Args:
        supernet: on the meta device, so that stages do not differ in the values of weights.

    Example:
        >>> from torch import nn
        >>> from spos.cost.part import on_meta
        >>> from spos.nn import OneOf
        >>> def layer(kernel):
        ...     return OneOf({"conv": nn.Conv2d(3, 3, kernel), "skip": nn.Identity()})
        >>> model = nn.Sequential(layer(3), layer(3), layer(1), layer(3))
        >>> kinds(on_meta(Supernet(model, (3, 9, 9))))
        [0, 0, 2, 0]
    """
    first: dict[bytes, int] = {}
    found = []
    supernet.activate([0] * len(supernet.space))
    for number, stage in enumerate(supernet.stages):
        text = _written(supernet, stage)
        found.append(number if text is None else first.setdefault(text, number))
    return found


def _written(supernet: Supernet, stage: Stage) -> bytes | None:
    buffer = io.BytesIO()
    # Norms without affine parameters that get them back in a network cost more than others.
    restored = [module in supernet._stripped for module in stage.module.modules()]
    with _anonymous(supernet, stage):
        try:
            pickle.Pickler(buffer, protocol=5).dump((restored, stage.module))
        except Exception:
            # Modules of users hold anything, whose pickling fails in any way.
            return None
    return buffer.getvalue()


@contextmanager
def _anonymous(supernet: Supernet, stage: Stage) -> Iterator[None]:
    """Call the choices of a stage by their place in it."""
    names = [supernet.space.choices[position].name for position in stage.choices]
    readers = [m for m in stage.module.modules() if isinstance(m, ChoiceModule)]
    before = [module.choice_name for module in readers]
    # The same object for the same choice, as it was: pickling notices who shares one.
    places = {name: f"choice {place}" for place, name in enumerate(names)}
    try:
        for module in readers:
            module.choice_name = places[str(module.choice_name)]
        yield
    finally:
        for module, name in zip(readers, before, strict=True):
            module.choice_name = name
