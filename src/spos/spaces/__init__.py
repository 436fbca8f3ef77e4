"""The catalogue of search spaces."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from spos.cost import CostModel, CostTable
from spos.errors import UserError, nearest
from spos.recipes import PLANS, Plan
from spos.spaces import shufflenetv2
from spos.supernet import Supernet


@dataclass(frozen=True)
class Family:
    """A search space with its presets.

    A space of your own joins the catalogue by ``SPACES["mine"] = Family(...)``, at the top level of
    a module; :func:`spos.pipeline.run` then takes ``{"space": {"name": "mine", ...}}``.

    Args:
        paper: where it was published.
        presets: layouts by name: dataclasses with at least ``image_size``, the side of the input.
        build: called as ``build(layout, classes=10, image_channels=3)``, makes the supernet.
        plans: the default settings of each preset.
        networks: published architectures of a preset by name: the name of the preset, and option
            indices joined by commas.
        costs: makes the costs of a supernet's architectures.
    """

    paper: str
    presets: Mapping[str, Any]
    build: Callable[..., Supernet]
    plans: Mapping[str, Plan]
    networks: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    costs: Callable[[Supernet], CostModel] = CostTable

    def preset(self, name: str) -> Any:
        """The layout of a preset.

        Raises:
            UserError: there is no such preset.
        """
        if name not in self.presets:
            raise UserError(f"unknown preset '{name}': {nearest(name, self.presets)}")
        return self.presets[name]

    def plan(self, name: str) -> Plan:
        """The default settings of a preset.

        Raises:
            UserError: there are none.
        """
        if name not in self.plans:
            raise UserError(f"no plan for the preset '{name}': {nearest(name, self.plans)}")
        return self.plans[name]


SPACES: dict[str, Family] = {
    "shufflenetv2": Family(
        paper="Guo et al., Single Path One-Shot Neural Architecture Search, ECCV 2020",
        presets=shufflenetv2.PRESETS,
        build=shufflenetv2.shufflenetv2,
        plans=PLANS,
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
