"""How often an architecture takes some options, as one more cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spos._util.errors import UserError, nearest
from spos.cost.model import CostModel
from spos.space import SearchSpace


class OptionCount:
    """Costs, and the number of choices for which an architecture takes a counted option.

    It is a cost as any other: bounded from both sides by a constraint, beside the others. Two of
    them around each other count two things.

    Args:
        costs: what is counted already, such as a :class:`spos.cost.CostTable`.
        name: of the number, new among the names of the costs; what it is called in reports is
            said by :func:`spos.cost.register_cost`.
        options: the counted options of each choice, by the name of the choice.

    Raises:
        UserError: the name is taken, or there is no such choice or option.

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
        # Whether an option counts, as 0 or 1, for all options of the choices concerned.
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
        """The costs of one architecture by name."""
        valid = self.space.validate(architecture)
        taken = sum(int(column[valid[place]]) for place, column in self._counts.items())
        return {**self._costs.cost(valid), self._name: taken}

    def stages(self, architecture: Iterable[int]) -> list[dict[str, Any]]:
        """One architecture stage by stage; a choice counts in the first stage that reads it."""
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
        """The costs of architectures, shape (count, number of choices), in the order of names."""
        others = self._costs.many(architectures)
        taken = np.zeros((len(architectures), 1), dtype=others.dtype)
        for place, column in self._counts.items():
            taken[:, 0] += column[architectures[:, place]]
        return np.concatenate((others, taken), axis=1)

    def range(self) -> dict[str, tuple[int, int]]:
        """The least and the largest of each cost over the space."""
        least = sum(int(column.min()) for column in self._counts.values())
        largest = sum(int(column.max()) for column in self._counts.values())
        return {**self._costs.range(), self._name: (least, largest)}
