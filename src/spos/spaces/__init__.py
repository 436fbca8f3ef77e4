"""The catalogue of search spaces."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from spos._util.errors import UserError, nearest
from spos._util.registry import Registry
from spos.cost import CostModel, CostTable
from spos.nn.supernet import Supernet
from spos.space import Architecture, SearchSpace
from spos.training.recipes import Plan


@dataclass(frozen=True)
class Family:
    """A search space with its presets.

    A space of your own joins the catalogue by ``SPACES["mine"] = Family(...)``, at the top level of
    a module; :func:`spos.run.pipeline.run` then takes ``{"space": {"name": "mine", ...}}``.

    Args:
        paper: where it was published.
        presets: layouts by name: dataclasses with at least ``image_size``, the side of the input.
        build: called as ``build(layout, classes=10, image_channels=3)``, makes the supernet.
        plans: the default settings of each preset.
        networks: published architectures of a preset by name: the name of the preset, and option
            indices joined by commas.
        costs: called as ``costs(supernet, eager=True)``, makes the costs of its architectures (see
            :class:`spos.cost.CostTable`).
        translate: turns the paper's own notation of an architecture into what the space reads, and
            leaves any other text as it is.
        notation: that notation of an architecture, given the option name of each choice.
    """

    paper: str
    presets: Mapping[str, Any]
    build: Callable[..., Supernet]
    plans: Mapping[str, Plan]
    networks: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    costs: Callable[..., CostModel] = CostTable
    translate: Callable[[str], str] = str
    notation: Callable[[Mapping[str, str]], str] | None = None

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

    def parse(self, space: SearchSpace, preset: str, text: str) -> Architecture:
        """Read an architecture: the name of a published one, or what the space itself reads.

        Args:
            space: of the preset.
            preset: its name.
            text: as given.

        Raises:
            UserError: it is none, or a published one of another preset.
        """
        if text in self.networks:
            published, text = self.networks[text][0], self.networks[text][1]
            if published != preset:
                raise UserError(
                    f"the published network is of the preset {published}, not of {preset}"
                )
        elif is_name(text):
            known = nearest(text, self.networks) if self.networks else "this space has none by name"
            raise UserError(f"unknown network '{text}': {known}")
        return space.parse(self.translate(text))

    def notated(self, names: Mapping[str, str]) -> dict[str, str]:
        """The paper's own notation of an architecture as a fact; none where there is no such thing.

        Args:
            names: the option of each choice.
        """
        return {} if self.notation is None else {"notation": self.notation(names)}


def is_name(text: str) -> bool:
    """Whether a text is meant as the name of a network, not as an architecture.

    Example:
        >>> is_name("fbnet_b"), is_name("0,1,2"), is_name("none~0|+|none~0|none~1|")
        (True, False, False)
    """
    return text[:1].isalpha() and not {"~", "|"} & set(text)


#: Search spaces by name: one file each in ``spos/spaces``, or a plug-in.
SPACES: Registry[Family] = Registry("space", "spos.spaces", "spos.spaces")


def family(name: str) -> Family:
    """A space of the catalogue.

    Raises:
        UserError: there is no such space.

    Example:
        >>> family("shuflenetv2")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        spos.UserError: unknown space 'shuflenetv2': did you mean 'shufflenetv2'? allowed: ...
    """
    return SPACES.find(name)
