"""Bounds on the costs of architectures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spos._util.errors import UserError, check_kind, nearest
from spos._util.files import LARGEST
from spos.cost.cost import find_cost, format_cost
from spos.cost.model import CostModel


@dataclass(frozen=True)
class Constraint:
    """Upper and lower bounds on costs; without bounds, every architecture satisfies it.

    Args:
        maximum (Mapping[str, float]): largest value allowed of each bounded cost, by cost name
            ("flops" are multiply-adds, latencies are in nanoseconds).
        minimum (Mapping[str, float]): smallest value allowed of each bounded cost, by cost name.

    Raises:
        UserError: a bound is no number, or a minimum is above its maximum.

    Example:
        >>> constraint = Constraint(maximum={"flops": 330e6, "params": 3.5e6})
        >>> constraint.satisfied({"flops": 322918720, "params": 3558464})
        False
        >>> print(constraint)
        flops <= 330.0M, params <= 3.500M
    """

    maximum: Mapping[str, float] = field(default_factory=dict)
    minimum: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_bounds("maximum", self.maximum)
        _check_bounds("minimum", self.minimum)
        for name, least in self.minimum.items():
            if name in self.maximum and least > self.maximum[name]:
                raise UserError(
                    f"the constraint is empty: min {name} {format_cost(name, least)} is above "
                    f"max {name} {format_cost(name, self.maximum[name])}"
                )

    def __str__(self) -> str:
        shown = (f"{n} {'<=' if s > 0 else '>='} {format_cost(n, v)}" for n, v, s in self.bounds)
        return ", ".join(shown) or "none"

    @property
    def bounds(self) -> list[tuple[str, float, int]]:
        """Each bound as a cost, a value, and the sign that turns a minimum into a maximum."""
        signs = ((self.maximum, 1), (self.minimum, -1))
        return [(name, value, sign) for bounds, sign in signs for name, value in bounds.items()]

    def satisfied(self, costs: Mapping[str, float]) -> bool:
        """Return whether the costs of one architecture are within every bound.

        Args:
            costs (Mapping[str, float]): costs by name.
        """
        return all(sign * costs[name] <= sign * value for name, value, sign in self.bounds)

    def satisfied_many(self, table: CostModel, costs: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return for each of many architectures whether its costs are within every bound.

        Args:
            table (CostModel): cost model that the costs come from.
            costs (NDArray[np.int64]): result of ``table.many``, shape (count, number of costs).

        Returns:
            One boolean per architecture, shape (count,).
        """
        within = np.ones(len(costs), dtype=bool)
        for name, value, sign in self.bounds:
            within &= sign * costs[:, table.names.index(name)] <= sign * value
        return within

    def check(self, table: CostModel) -> None:
        """Check that each bound can be satisfied by an architecture of the space.

        Args:
            table (CostModel): costs of the space.

        Raises:
            UserError: a cost is unknown, or a bound lies outside the range of the space.
        """
        reachable = table.range()
        for name, value, sign in self.bounds:
            if name not in reachable:
                raise UserError(f"unknown cost '{name}': {nearest(name, reachable)}")
            least, largest = reachable[name]
            if value < least if sign > 0 else value > largest:
                # Of a time, people do not count the nanoseconds.
                exact = "" if find_cost(name).unit.symbol else f" ({least} to {largest})"
                raise UserError(
                    f"no network of this space satisfies {'max' if sign > 0 else 'min'} {name} "
                    f"{format_cost(name, value)}: reachable are {format_cost(name, least)} to "
                    f"{format_cost(name, largest)}{exact}"
                )

    def without_effect(self, table: CostModel) -> list[str]:
        """Describe the bounds that every network of a space satisfies, a line each.

        Args:
            table (CostModel): costs of the space.
        """
        reachable = table.range()
        return [
            f"{'max' if sign > 0 else 'min'} {name} {format_cost(name, value)} limits nothing: "
            f"networks of this space have {format_cost(name, least)} to "
            f"{format_cost(name, largest)}"
            for name, value, sign in self.bounds
            for least, largest in (reachable[name],)
            if (value >= largest if sign > 0 else value <= least)
        ]


def _check_bounds(side: str, bounds: Mapping[str, Any]) -> None:
    what = f"{side} of a constraint"
    check_kind(bounds, Mapping, what, "numbers by the names of costs, such as {'flops': 330e6}")
    for name, value in bounds.items():
        number = isinstance(value, Real) and not isinstance(value, bool)
        # Nothing is above or below what is not a number.
        if not number or not -LARGEST <= value <= LARGEST:
            raise UserError(f"{what}: {name} {value!r:.80} must be a number, such as 330e6")
