"""Base classes of modules that differ between architectures, and of those with a choice."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from operator import index

from torch import nn

from spos._util.errors import UserError
from spos._util.text import printable
from spos.space import Choice


class Searchable(nn.Module, ABC):
    """A module that differs between architectures, such as a sliced convolution.

    Its choices are :class:`spos.nn.ChoiceModule` submodules, or the module itself. A subclass
    implements :meth:`plain`, which returns the module for the active path.
    """

    @abstractmethod
    def plain(self, copy: Callable[[nn.Module], nn.Module]) -> nn.Module:
        """Return the module of the active path, without choices.

        Args:
            copy (Callable[[nn.Module], nn.Module]): function that copies a child module with its
                choices fixed; use it for every child that is kept.
        """


class ChoiceModule(Searchable):
    """A module whose forward pass depends on one choice.

    A subclass reads ``self.active``, the index of the active option, in ``forward``, and implements
    :meth:`~spos.nn.Searchable.plain`, which returns the module for the active option.

    Args:
        options (tuple[str, ...]): option names.
        name (str | None): name of the choice. Modules with the same name share one choice and must
            have the same options. None uses the module's path in the model.
        ordered (bool): whether the options are sizes, listed from the smallest to the largest.

    Raises:
        UserError: ``options`` is empty or contains a duplicate, or a name cannot be printed.

    Example:
        >>> class Activation(ChoiceModule):
        ...     def forward(self, x):
        ...         return x.relu() if self.active == 0 else x.tanh()
        ...
        ...     def plain(self, copy):
        ...         return nn.ReLU() if self.active == 0 else nn.Tanh()
        >>> activation = Activation(("relu", "tanh"))
        >>> activation.activate("tanh")
        >>> activation.plain(lambda module: module)
        Tanh()
    """

    def __init__(
        self, options: tuple[str, ...], name: str | None = None, *, ordered: bool = False
    ) -> None:
        super().__init__()
        self.choice_name = name
        choice = Choice(name or type(self).__name__, options)
        for one in (choice.name, *choice.options):
            # Those that a run reads back are made safe to print, and would be others.
            if one != printable(one):
                raise UserError(f"choice '{choice.name}': '{one}' is no name, it cannot be printed")
        self.option_names = choice.options
        self.ordered = ordered
        self.active = 0

    def activate(self, option: int | str) -> None:
        """Select the active option.

        Args:
            option (int | str): index or name of the option.

        Raises:
            UserError: there is no such option.
        """
        choice = Choice(self.choice_name or type(self).__name__, self.option_names)
        try:
            place = choice.index(option) if isinstance(option, str) else index(option)
        except TypeError:
            place = -1
        if not 0 <= place < len(choice.options):
            raise UserError(
                f"choice '{choice.name}' has no option {option!r:.80}: allowed: "
                f"0 to {len(choice.options) - 1}"
            )
        self.active = place
