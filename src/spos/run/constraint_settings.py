"""The bounds of a search as settings: of one search, or of one search for each of many budgets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from spos._util.errors import UserError
from spos.cost import Constraint
from spos.cost.cost import find_cost


@dataclass(frozen=True)
class ConstraintSettings:
    """The bounds of a search, and where its evaluations are kept.

    Args:
        maximum: the largest value allowed of each cost.
        minimum: the least value allowed of each cost.
        storage: an Optuna storage URL; the run directory's own SQLite file without it.
        latency_table: the file that ``spos latency`` wrote, which gives the cost ``latency``.
        latency_device: the device that the table was measured on, where it is not this one.
        budgets: several largest values of one cost: one search for each. The other bounds apply
            to all of them.

    Raises:
        UserError: the budgets are not of one cost, or that cost has a largest value already.
    """

    maximum: Mapping[str, float] = field(default_factory=dict)
    minimum: Mapping[str, float] = field(default_factory=dict)
    storage: str = ""
    latency_table: str = ""
    latency_device: str = ""
    budgets: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.budgets) > 1:
            raise UserError(f"constraint.budgets {', '.join(self.budgets)}: allowed is one cost")
        for cost in self.budgets:
            if cost in self.maximum:
                raise UserError(
                    f"constraint.budgets and constraint.maximum bound {cost}: give one of them "
                    f"(--budgets {cost}=... or --max-{cost}), not both"
                )
        if self.latency_device and not self.latency_table:
            raise UserError(
                f"--latency-device {self.latency_device}: it says whose --latency-table FILE is; "
                "give that as well"
            )

    @property
    def constraints(self) -> tuple[Constraint, ...]:
        """The constraint of each search, from the smallest budget; one where there are none.

        Example:
            >>> given = ConstraintSettings(budgets={"flops": (40e6, 60e6)})
            >>> [str(constraint) for constraint in given.constraints]
            ['flops <= 40.00M', 'flops <= 60.00M']
        """
        return tuple(
            # The cost of the budgets first: it is what the search is about.
            Constraint(maximum={cost: value, **self.maximum}, minimum=self.minimum)
            for cost, values in self.budgets.items()
            for value in values
        ) or (Constraint(maximum=self.maximum, minimum=self.minimum),)


def read_constraint(values: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a constraint, with quantities such as 330M turned into numbers.

    Args:
        values: as YAML gives them.

    Raises:
        UserError: a bound is no number, or a budget is given twice.

    Example:
        >>> read_constraint({"maximum": {"flops": "330M"}})
        {'maximum': {'flops': 330000000.0}}
        >>> read_constraint({"budgets": {"flops": ["60M", "40M"]}})
        {'budgets': {'flops': (40000000.0, 60000000.0)}}
    """
    read = dict(values)
    for side in ("maximum", "minimum"):
        if isinstance(values.get(side), Mapping):
            read[side] = {
                str(cost): read_bound(str(cost), value, f"constraint.{side}.{cost}")
                for cost, value in values[side].items()
            }
    if isinstance(values.get("budgets"), Mapping):
        read["budgets"] = {
            str(cost): _budgets(str(cost), given, f"constraint.budgets.{cost}")
            for cost, given in values["budgets"].items()
        }
    return read


def parse_budgets(text: str, flag: str = "--budgets") -> dict[str, tuple[float, ...]]:
    """Read budgets as they are written on the command line.

    Args:
        text: such as ``flops=40M,60M,80M``.
        flag: what to call it in an error.

    Raises:
        UserError: it is written in another way, or a budget is given twice.

    Example:
        >>> parse_budgets("flops=60M,40M")
        {'flops': (40000000.0, 60000000.0)}
    """
    cost, equals, values = text.partition("=")
    cost = cost.strip()
    if not equals or not cost or not values.strip() or "=" in values:
        raise UserError(
            f"{flag} {text}: write one cost and its limits, such as {flag} flops=40M,60M,80M"
        )
    return {cost: _budgets(cost, values.split(","), f"{flag} {cost}")}


def _budgets(cost: str, given: Any, key: str) -> tuple[float, ...]:
    if isinstance(given, str):
        given = given.split(",")
    if not isinstance(given, Sequence):
        given = [given]
    values = sorted(read_bound(cost, value, key) for value in given)
    if not values:
        raise UserError(f"{key}: it is empty, give limits such as 40M,60M,80M")
    for value, following in pairwise(values):
        if value == following:
            raise UserError(f"{key}: {find_cost(cost).format(value)} is given twice")
    return tuple(values)


def read_bound(cost: str, value: Any, key: str) -> float:
    """Read a bound of a cost in its unit, or 0.

    Args:
        cost (str): name of the cost.
        value (Any): such as ``"330M"``, ``"4ms"`` or a number; times are in nanoseconds.
        key (str): what to call it in an error.

    Raises:
        UserError: it is not a quantity of the cost's unit.

    Example:
        >>> read_bound("latency", "4ms", "--max-latency"), read_bound("strides", "0", "--max")
        (4000000.0, 0.0)
    """
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise UserError(f"{key}: {value!r} is not a number such as 330M")
    # A count may be bounded by 0.
    return 0.0 if str(value).strip() in ("0", "0.0") else find_cost(cost).parse(value, key)
