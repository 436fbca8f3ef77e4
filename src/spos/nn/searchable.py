"""Base class of modules that differ between architectures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from torch import nn


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
