"""Interface of cost models, as constraints and searches use them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from numpy.typing import NDArray

from spos.space import SearchSpace


class CostModel(Protocol):
    """Costs of the architectures of a space, such as a :class:`spos.cost.CostTable`.

    A search accepts any object with these members.

    Attributes:
        space (SearchSpace): space of the architectures.
    """

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the costs, in the order of :meth:`many`."""

    space: SearchSpace

    def cost(self, architecture: Iterable[int]) -> dict[str, int]:
        """Return the costs of one architecture by name.

        Args:
            architecture (Iterable[int]): one option index per choice.
        """

    def stages(self, architecture: Iterable[int]) -> list[dict[str, Any]]:
        """Return the costs of each stage of one architecture.

        Args:
            architecture (Iterable[int]): one option index per choice.

        Returns:
            For each stage its ``name``, its ``choices`` (option name by choice name), and its costs
            by name.
        """

    def many(self, architectures: NDArray[Any]) -> NDArray[Any]:
        """Return the costs of many architectures.

        Args:
            architectures (NDArray): option indices, shape (count, number of choices).

        Returns:
            Costs in the order of :attr:`names`, shape (count, number of costs).
        """

    def range(self) -> dict[str, tuple[int, int]]:
        """Return the smallest and the largest value of each cost over the space, by name."""
