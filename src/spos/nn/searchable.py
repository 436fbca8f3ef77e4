"""The base of every module that differs between architectures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from torch import nn


class Searchable(nn.Module, ABC):
    """A module that is another one in each architecture, such as a sliced convolution.

    The choices that it reads are :class:`spos.nn.ChoiceModule` inside it, or itself. A subclass
    says what plain torch module it is once they are made.
    """

    @abstractmethod
    def plain(self, copy: Callable[[nn.Module], nn.Module]) -> nn.Module:
        """What it is on the active path, as a module without choices.

        Args:
            copy: copies a child, with the choices inside it made; use it for every child kept.
        """
