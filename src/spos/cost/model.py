"""What a constraint and a search need to know about costs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from numpy.typing import NDArray

from spos.space import SearchSpace


class CostModel(Protocol):
    """The costs of the architectures of a space; :class:`spos.cost.CostTable` is one.

    Any other source of costs serves a search as well, if it has these members: ``names`` of the
    costs, the ``space``, the ``cost`` of one architecture by name and of its ``stages``, of
    ``many`` (shape (count, number of choices) to (count, number of costs), in the order of
    ``names``), and the ``range`` (least, largest) of each cost.
    """

    @property
    def names(self) -> tuple[str, ...]: ...

    space: SearchSpace

    def cost(self, architecture: Iterable[int]) -> dict[str, int]: ...

    def stages(self, architecture: Iterable[int]) -> list[dict[str, Any]]: ...

    def many(self, architectures: NDArray[Any]) -> NDArray[Any]: ...

    def range(self) -> dict[str, tuple[int, int]]: ...
