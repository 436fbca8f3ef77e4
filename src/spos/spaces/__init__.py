"""The catalogue of search spaces."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from spos.errors import UserError, nearest
from spos.spaces import shufflenetv2
from spos.supernet import Supernet


@dataclass(frozen=True)
class Family:
    """A search space with its presets.

    Args:
        paper: where it was published.
        presets: layouts by name.
        build: from a layout, the number of classes and of image channels to a supernet.
    """

    paper: str
    presets: Mapping[str, Any]
    build: Callable[..., Supernet]

    def preset(self, name: str) -> Any:
        """The layout of a preset.

        Raises:
            UserError: there is no such preset.
        """
        if name not in self.presets:
            raise UserError(f"unknown preset '{name}': {nearest(name, self.presets)}")
        return self.presets[name]


SPACES: dict[str, Family] = {
    "shufflenetv2": Family(
        paper="Guo et al., Single Path One-Shot Neural Architecture Search, ECCV 2020",
        presets=shufflenetv2.PRESETS,
        build=shufflenetv2.shufflenetv2,
    ),
}


def family(name: str) -> Family:
    """A space of the catalogue.

    Raises:
        UserError: there is no such space.

    Example:
        >>> family("shuflenetv2")
        Traceback (most recent call last):
        ...
        spos.errors.UserError: unknown space 'shuflenetv2': did you mean 'shufflenetv2'? \
allowed: shufflenetv2
    """
    if name not in SPACES:
        raise UserError(f"unknown space '{name}': {nearest(name, SPACES)}")
    return SPACES[name]
