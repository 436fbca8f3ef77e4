"""Catalogue of search spaces."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

import torch

from spos._util.errors import UserError, nearest
from spos._util.registry import Registry
from spos.cost import CostModel, CostTable
from spos.nn.supernet import Supernet
from spos.space import Architecture, SearchSpace
from spos.training.defaults import Defaults
from spos.training.memory import check_weights, weight_bytes


@dataclass(frozen=True)
class Family:
    """A search space with its presets.

    To add your own space, assign ``SPACES["mine"] = Family(...)`` at the top level of a module;
    :func:`spos.run.run` then accepts ``{"space": {"name": "mine", ...}}``.

    Args:
        paper (str): publication of the space.
        presets (Mapping[str, Any]): layouts by preset name; each is a dataclass with at least
            ``image_size``, the side of the square input in pixels.
        build (Callable[..., Supernet]): function that builds the supernet, called as
            ``build(layout, classes=10, image_channels=3)``: first on the meta device, which shows
            whether its weights fit into memory.
        defaults (Mapping[str, Defaults]): default settings by preset name.
        networks (Mapping[str, tuple[str, str]]): published architectures by name, each a preset
            name and option indices joined by commas.
        costs (Callable[..., CostModel]): function that creates the cost model, called as
            ``costs(supernet, eager=True)`` (see :class:`spos.cost.CostTable`).
        translate (Callable[[str], str]): function that converts the paper's notation of an
            architecture into a form the space can parse, and returns any other text unchanged.
        notation (Callable[[Mapping[str, str]], str] | None): function from the option name of each
            choice to the paper's notation; None if the paper has no notation.
    """

    paper: str
    presets: Mapping[str, Any]
    build: Callable[..., Supernet]
    defaults: Mapping[str, Defaults]
    networks: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    costs: Callable[..., CostModel] = CostTable
    translate: Callable[[str], str] = str
    notation: Callable[[Mapping[str, str]], str] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "build", _checked(self.build))

    def preset(self, name: str) -> Any:
        """Return the layout of a preset.

        Args:
            name (str): name of the preset.

        Raises:
            UserError: the preset is unknown.
        """
        if name not in self.presets:
            raise UserError(f"unknown preset '{name}': {nearest(name, self.presets)}")
        return self.presets[name]

    def defaults_of(self, name: str) -> Defaults:
        """Return the default settings of a preset.

        Args:
            name (str): name of the preset.

        Raises:
            UserError: the preset has no default settings.
        """
        if name not in self.defaults:
            raise UserError(
                f"no default settings of the preset '{name}': {nearest(name, self.defaults)}"
            )
        return self.defaults[name]

    def parse(self, space: SearchSpace, preset: str, text: str) -> Architecture:
        """Parse an architecture from the name of a published network or from its text form.

        Args:
            space (SearchSpace): search space of the preset.
            preset (str): name of the preset.
            text (str): name, notation of the paper, option indices or JSON of option names.

        Raises:
            UserError: the text is not an architecture of the space, or names a published network of
                another preset.
        """
        if text in self.networks:
            published, text = self.networks[text]
            if published != preset:
                raise UserError(
                    f"the published network is of the preset {published}, not of {preset}"
                )
        elif is_name(text):
            known = nearest(text, self.networks) if self.networks else "this space has none by name"
            raise UserError(f"unknown network '{text}': {known}")
        return space.parse(self.translate(text))

    def notated(self, names: Mapping[str, str]) -> dict[str, str]:
        """Return ``{"notation": text}`` with the paper's notation, or an empty mapping.

        Args:
            names (Mapping[str, str]): option name of each choice.
        """
        return {} if self.notation is None else {"notation": self.notation(names)}


def _checked(build: Callable[..., Supernet]) -> Callable[..., Supernet]:
    # A run builds the same supernet many times.
    known: dict[str, int] = {}

    @wraps(build)
    def checked(layout: Any, *arguments: Any, **named: Any) -> Supernet:
        def made() -> Supernet:
            try:
                return build(layout, *arguments, **named)
            except (NotImplementedError, RuntimeError) as error:
                if torch.get_default_device().type != "meta":
                    raise
                reason = str(error).splitlines()[0]
                raise UserError(
                    f"the supernet cannot be built on the meta device ({reason}): tensors have no "
                    "values there, so compute numbers in build without them"
                ) from error

        if torch.get_default_device().type != "meta":
            asked = repr((layout, arguments, named))
            if asked not in known:
                known[asked] = weight_bytes(made)
            check_weights(known[asked])
        supernet = made()
        if not isinstance(supernet, Supernet):
            raise UserError(f"build returned a {type(supernet).__name__}; allowed: a spos.Supernet")
        shape, side = supernet.input_shape, layout.image_size
        images = named.get("image_channels", shape[0]), side, side
        if shape != images:
            raise UserError(
                f"the supernet is for inputs of shape {list(shape)}, the images have "
                f"{list(images)}: build it for these"
            )
        return supernet

    return checked


def is_name(text: str) -> bool:
    """Return whether a text is the name of a network instead of an architecture.

    Args:
        text (str): text from the user.

    Example:
        >>> is_name("fbnet_b"), is_name("0,1,2"), is_name("none~0|+|none~0|none~1|")
        (True, False, False)
    """
    return text[:1].isalpha() and not {"~", "|"} & set(text)


#: Search spaces by name; each is one file in ``spos/spaces`` or a plug-in.
SPACES: Registry[Family] = Registry("space", "spos.spaces", "spos.spaces")


def family(name: str) -> Family:
    """Return a space of the catalogue.

    Args:
        name (str): name of the space.

    Raises:
        UserError: the space is unknown.

    Example:
        >>> family("shuflenetv2")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        spos.UserError: unknown space 'shuflenetv2': did you mean 'shufflenetv2'? allowed: ...
    """
    return SPACES.find(name)
