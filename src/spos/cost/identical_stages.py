"""Detection of identical stages of a supernet, of which only one needs to be counted."""

from __future__ import annotations

import pickle

from spos.nn.choice import ChoiceModule
from spos.nn.supernet import Supernet


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
