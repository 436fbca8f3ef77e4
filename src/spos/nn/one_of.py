"""A choice between modules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from spos.nn.choice import ChoiceModule


class OneOf(ChoiceModule):
    """Several candidate modules, of which the active one runs.

    Put it wherever a model would hold one module. The inactive candidates cost nothing in a step:
    they do not run, receive no gradient and are not updated.

    Args:
        options: the candidates by name, in the order of their indices.
        name: the name of the choice (see :class:`ChoiceModule`).

    Raises:
        UserError: there is no candidate.

    Example:
        >>> import torch
        >>> layer = OneOf({"linear": nn.Linear(4, 4), "skip": nn.Identity()})
        >>> layer.activate("skip")
        >>> torch.equal(layer(torch.ones(1, 4)), torch.ones(1, 4))
        True
    """

    def __init__(self, options: Mapping[str, nn.Module], name: str | None = None) -> None:
        super().__init__(tuple(options), name)
        self.options = nn.ModuleList(options.values())

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.options[self.active](*args, **kwargs)

    def plain(self, copy: Callable[[nn.Module], nn.Module]) -> nn.Module:
        return copy(self.options[self.active])

    def extra_repr(self) -> str:
        return f"active={self.option_names[self.active]}"
