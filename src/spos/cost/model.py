"""Interface of cost models, as constraints and searches use them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from numpy.typing import NDArray

from spos.space import SearchSpace


class CostModel(Protocol):
    """Costs of the architectures of a space, such as a :class:`spos.cost.CostTable`.

    A search accepts any object with these members: ``names`` of the costs; the ``space``; ``cost``,
    the costs of one architecture by name; ``stages``, the costs of each of its stages; ``many``,
    from option indices of shape (count, number of choices) to costs of shape (count, number of
    costs) in the order of ``names``; and ``range``, the smallest and largest value of each cost.
    """

    @property
    def names(self) -> tuple[str, ...]: ...

    space: SearchSpace

    def cost(self, architecture: Iterable[int]) -> dict[str, int]: ...

    def stages(self, architecture: Iterable[int]) -> list[dict[str, Any]]: ...

    def many(self, architectures: NDArray[Any]) -> NDArray[Any]: ...

    def range(self) -> dict[str, tuple[int, int]]: ...
