"""Several cost models combined into one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spos._util.errors import UserError, nearest
from spos.cost.model import CostModel
from spos.space import SearchSpace


class CombinedCosts:
    """The costs of several cost models of one space.

    Args:
        tables (Sequence[CostModel]): at least one cost model, with distinct cost names.

    Raises:
        UserError: two cost models share a cost name, or their spaces differ.

    Example:
        >>> from torch import nn
        >>> from spos.cost import CostTable
        >>> from spos.cost.cost import CountedCost, find_cost
        >>> from spos.nn import OneOf
        >>> from spos.nn.supernet import Supernet
        >>> model = nn.Sequential(OneOf({"3x3": nn.Conv2d(3, 8, 3), "1x1": nn.Conv2d(3, 8, 1)}))
        >>> supernet = Supernet(model, (3, 10, 10))
        >>> memory = CostTable(supernet, counter=CountedCost(find_cost("memory")))
        >>> CombinedCosts([CostTable(supernet), memory]).cost([0])
        {'flops': 13824, 'params': 224, 'memory': 3248}
    """

    def __init__(self, tables: Sequence[CostModel]) -> None:
        self._tables = tuple(tables)
        self.space: SearchSpace = tables[0].space
        self.names: tuple[str, ...] = tuple(name for table in tables for name in table.names)
        if any(table.space != self.space for table in tables):
            raise UserError("costs of different search spaces cannot be combined")
        if len(set(self.names)) < len(self.names):
            raise UserError(f"a cost is counted twice: {', '.join(self.names)}")

    def table_of(self, name: str) -> CostModel:
        """Return the cost model that provides a cost.

        Raises:
            UserError: the cost is unknown.
        """
        for table in self._tables:
            if name in table.names:
                return table
        raise UserError(f"unknown cost '{name}': {nearest(name, self.names)}")

    def cost(self, architecture: Iterable[int]) -> dict[str, int]:
        """Return the costs of one architecture by name; see :meth:`spos.cost.CostTable.cost`."""
        valid = self.space.validate(architecture)
        return {k: v for table in self._tables for k, v in table.cost(valid).items()}

    def stages(self, architecture: Iterable[int]) -> list[dict[str, Any]]:
        """Return the costs of each stage; see :meth:`spos.cost.CostTable.stages`."""
        valid = self.space.validate(architecture)
        rows = zip(*(table.stages(valid) for table in self._tables), strict=True)
        return [{k: v for part in parts for k, v in part.items()} for parts in rows]

    def many(self, architectures: NDArray[Any]) -> NDArray[Any]:
        """Return the costs of many architectures; see :meth:`spos.cost.CostTable.many`."""
        return np.concatenate([table.many(architectures) for table in self._tables], axis=1)

    def range(self) -> dict[str, tuple[int, int]]:
        """Return the smallest and the largest value of each cost over the space."""
        return {k: v for table in self._tables for k, v in table.range().items()}
