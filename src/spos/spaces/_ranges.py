"""Ranges of the costs of the catalogue's presets, counted beforehand: counting takes seconds.

A range is used only for the supernet that it was counted for. After a change of a space,
``python -m spos.spaces._ranges`` counts all of them anew; until then its ranges are counted when
they are asked for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from spos._util.files import read_json, write_json
from spos.nn.supernet import Supernet
from spos.spaces import SPACES, Family

PATH = Path(__file__).with_suffix(".json")


def build_preset(member: Family, preset: str) -> Supernet:
    """Build a supernet without weights, for the usual number of classes."""
    with torch.device("meta"):
        return member.build(member.preset(preset), classes=usual_classes(member, preset))


def usual_classes(member: Family, preset: str) -> int:
    """Return how many classes a preset is counted for: 1000 at 224 pixels, else 10.

    Args:
        member (Family): the space.
        preset (str): name of the preset.

    Raises:
        UserError: the preset is unknown.

    Example:
        >>> [usual_classes(SPACES["fbnet"], preset) for preset in ("imagenet", "cifar")]
        [1000, 10]
    """
    return 1000 if member.preset(preset).image_size == 224 else 10


def cost_range(member: Family, supernet: Supernet) -> dict[str, tuple[int, int]]:
    """Return the smallest and the largest value of each cost over a space.

    Args:
        member (Family): the space.
        supernet (Supernet): a supernet of it.
    """
    known = _known().get(fingerprint(member, supernet))
    if known is None:
        return member.costs(supernet).range()
    return {name: (least, largest) for name, (least, largest) in known.items()}


def fingerprint(member: Family, supernet: Supernet) -> str:
    """Hash the choices and the modules of a supernet: types, attributes, and shapes of weights.

    Args:
        member (Family): the space.
        supernet (Supernet): a supernet of it, with weights or without.

    Example:
        >>> plain = SPACES["plain"]
        >>> one, same, other = (build_preset(plain, name) for name in ("tiny", "tiny", "cifar"))
        >>> fingerprint(plain, one) == fingerprint(plain, same)
        True
        >>> fingerprint(plain, one) == fingerprint(plain, other)
        False
    """
    common = vars(nn.Module())
    counted = getattr(member.costs, "__qualname__", repr(member.costs))
    parts = [repr((counted, supernet.input_shape, supernet.space.choices))]
    for name, module in supernet.named_modules(remove_duplicate=False):
        kind, facts = type(module), []
        # Those of torch describe themselves, and their attributes depend on its version.
        if not kind.__module__.startswith("torch."):
            facts = sorted(
                (key, value)
                for key, value in vars(module).items()
                if key not in common and isinstance(value, (bool, int, float, str, tuple))
            )
        tensors = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
        shapes = [(key, tuple(tensor.shape)) for key, tensor in tensors]
        parts.append(f"{name} {kind.__qualname__} {module.extra_repr()} {facts} {shapes}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


@cache
def _known() -> Mapping[str, Any]:
    found: Mapping[str, Any] = read_json(PATH)
    return found


def count_all() -> dict[str, dict[str, tuple[int, int]]]:
    """Count the ranges of all presets that come with spos, by the fingerprints of supernets."""
    members = (SPACES[name] for name in SPACES.built_in)
    built = ((one, build_preset(one, preset)) for one in members for preset in one.presets)
    return {fingerprint(*pair): pair[0].costs(pair[1]).range() for pair in built}


if __name__ == "__main__":
    write_json(PATH, count_all())
