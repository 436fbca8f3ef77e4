"""Cost models made of others: several combined into one, and one with a count of options."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
        >>> from spos.cost.cost import find_cost
        >>> from spos.cost.count import cost_counter
        >>> from spos.nn import OneOf
        >>> from spos.nn.supernet import Supernet
        >>> model = nn.Sequential(OneOf({"3x3": nn.Conv2d(3, 8, 3), "1x1": nn.Conv2d(3, 8, 1)}))
        >>> supernet = Supernet(model, (3, 10, 10))
        >>> memory = CostTable(supernet, counter=cost_counter(find_cost("memory")))
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

    @property
    def on_demand(self) -> bool:
        """Whether one of the cost models counts networks one by one."""
        return any(getattr(table, "on_demand", False) for table in self._tables)

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


class OptionCount:
    """A cost model extended by the number of choices that take a counted option.

    The number is a cost like any other and can be bounded from both sides. Nest several to count
    several kinds of options.

    Args:
        costs (CostModel): cost model to extend, such as a :class:`spos.cost.CostTable`.
        name (str): name of the new cost, not among the names of ``costs``; register a
            :class:`spos.cost.Cost` of this name to describe it in reports.
        options (Mapping[str, Iterable[str]]): counted options of each choice, by choice name.

    Raises:
        UserError: the name is taken, or a choice or option is unknown.

    Example:
        >>> from torch import nn
        >>> from spos.cost import Constraint, CostTable
        >>> from spos.nn import OneOf
        >>> from spos.nn.supernet import Supernet
        >>> def layer():
        ...     return OneOf({"conv": nn.Conv2d(3, 3, 3, padding=1), "skip": nn.Identity()})
        >>> table = CostTable(Supernet(nn.Sequential(layer(), layer()), (3, 8, 8)))
        >>> costs = OptionCount(table, "skips", {"0": ["skip"], "1": ["skip"]})
        >>> costs.cost([1, 0])
        {'flops': 5184, 'params': 84, 'skips': 1}
        >>> Constraint(maximum={"skips": 1}, minimum={"skips": 1}).satisfied(costs.cost([1, 1]))
        False
    """

    def __init__(self, costs: CostModel, name: str, options: Mapping[str, Iterable[str]]) -> None:
        if name in costs.names:
            raise UserError(f"the cost '{name}' is counted already: give another name")
        self._costs = costs
        self._name = name
        self.space: SearchSpace = costs.space
        self.names: tuple[str, ...] = (*costs.names, name)
        places = {choice.name: place for place, choice in enumerate(self.space.choices)}
        # For each choice, 1 for every counted option and 0 for the others.
        self._counts = [np.zeros(count, dtype=np.int64) for count in self.space.option_counts]
        for choice_name, counted in options.items():
            if choice_name not in places:
                raise UserError(
                    f"this space has no choice '{choice_name}': {nearest(choice_name, places)}"
                )
            place = places[choice_name]
            for option in counted:
                self._counts[place][self.space.choices[place].index(option)] = 1

    @property
    def on_demand(self) -> bool:
        """Whether the cost model counts networks one by one."""
        return getattr(self._costs, "on_demand", False)

    def cost(self, architecture: Iterable[int]) -> dict[str, int]:
        """Return the costs of one architecture by name; see :meth:`spos.cost.CostTable.cost`."""
        valid = self.space.validate(architecture)
        taken = sum(int(c[option]) for c, option in zip(self._counts, valid, strict=True))
        return {**self._costs.cost(valid), self._name: taken}

    def stages(self, architecture: Iterable[int]) -> list[dict[str, Any]]:
        """Return the costs of each stage; a choice counts in the first stage that reads it."""
        valid = self.space.validate(architecture)
        rows = zip(self.space.choices, self._counts, valid, strict=True)
        takes = {choice.name: int(column[option]) for choice, column, option in rows}
        return [
            {**stage, self._name: sum(takes.pop(name, 0) for name in stage["choices"])}
            for stage in self._costs.stages(valid)
        ]

    def many(self, architectures: NDArray[Any]) -> NDArray[Any]:
        """Return the costs of many architectures; see :meth:`spos.cost.CostTable.many`."""
        others = self._costs.many(architectures)
        taken = [column[architectures[:, place]] for place, column in enumerate(self._counts)]
        return np.column_stack((others, np.sum(taken, axis=0, dtype=others.dtype)))

    def range(self) -> dict[str, tuple[int, int]]:
        """Return the smallest and the largest value of each cost over the space."""
        least = sum(int(column.min()) for column in self._counts)
        largest = sum(int(column.max()) for column in self._counts)
        return {**self._costs.range(), self._name: (least, largest)}
