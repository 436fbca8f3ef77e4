"""The number of selected options of some kind, as an additional cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spos._util.errors import UserError, nearest
from spos.cost.model import CostModel
from spos.space import SearchSpace


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
        # For each choice with counted options, 1 for every counted option and 0 for the others.
        self._counts: dict[int, NDArray[np.int64]] = {}
        for choice_name, counted in options.items():
            if choice_name not in places:
                raise UserError(
                    f"this space has no choice '{choice_name}': {nearest(choice_name, places)}"
                )
            place = places[choice_name]
            column = np.zeros(self.space.option_counts[place], dtype=np.int64)
            for option in counted:
                column[self.space.choices[place].index(option)] = 1
            self._counts[place] = column

    def cost(self, architecture: Iterable[int]) -> dict[str, int]:
        """Return the costs of one architecture by name; see :meth:`spos.cost.CostTable.cost`."""
        valid = self.space.validate(architecture)
        taken = sum(int(column[valid[place]]) for place, column in self._counts.items())
        return {**self._costs.cost(valid), self._name: taken}

    def stages(self, architecture: Iterable[int]) -> list[dict[str, Any]]:
        """Return the costs of each stage; a choice counts in the first stage that reads it."""
        valid = self.space.validate(architecture)
        takes = {
            self.space.choices[place].name: int(column[valid[place]])
            for place, column in self._counts.items()
        }
        return [
            {**stage, self._name: sum(takes.pop(name, 0) for name in stage["choices"])}
            for stage in self._costs.stages(valid)
        ]

    def many(self, architectures: NDArray[Any]) -> NDArray[Any]:
        """Return the costs of many architectures; see :meth:`spos.cost.CostTable.many`."""
        others = self._costs.many(architectures)
        taken = np.zeros((len(architectures), 1), dtype=others.dtype)
        for place, column in self._counts.items():
            taken[:, 0] += column[architectures[:, place]]
        return np.concatenate((others, taken), axis=1)

    def range(self) -> dict[str, tuple[int, int]]:
        """Return the smallest and the largest value of each cost over the space."""
        least = sum(int(column.min()) for column in self._counts.values())
        largest = sum(int(column.max()) for column in self._counts.values())
        return {**self._costs.range(), self._name: (least, largest)}
