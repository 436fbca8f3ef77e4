"""Detection of identical stages of a supernet, of which only one needs to be counted."""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterator
from contextlib import contextmanager

from spos.nn.choice import ChoiceModule
from spos.nn.supernet import Stage, Supernet


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
        text = _pickle_stage(supernet, stage)
        found.append(number if text is None else first.setdefault(text, number))
    return found


def _pickle_stage(supernet: Supernet, stage: Stage) -> bytes | None:
    buffer = io.BytesIO()
    # A norm whose affine parameters are restored in the network has more parameters than others.
    restored = [module in supernet._stripped for module in stage.module.modules()]
    with _choices_renamed(supernet, stage):
        try:
            pickle.Pickler(buffer, protocol=5).dump((restored, stage.module))
        except Exception:
            # Users' modules may contain anything, so pickling may raise any exception.
            return None
    return buffer.getvalue()


@contextmanager
def _choices_renamed(supernet: Supernet, stage: Stage) -> Iterator[None]:
    """Name the choices of a stage by their index in it for the duration of the context."""
    names = [supernet.space.choices[position].name for position in stage.choices]
    readers = [m for m in stage.module.modules() if isinstance(m, ChoiceModule)]
    before = [module.choice_name for module in readers]
    # One string object per choice: the pickle records which modules share it.
    places = {name: f"choice {place}" for place, name in enumerate(names)}
    try:
        for module in readers:
            module.choice_name = places[str(module.choice_name)]
        yield
    finally:
        for module, name in zip(readers, before, strict=True):
            module.choice_name = name
