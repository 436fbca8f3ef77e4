"""The bounds of a search as settings: one search, or one search for each of several budgets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from spos._util.errors import UserError
from spos._util.settings import Settings
from spos.cost import Constraint
from spos.cost.cost import find_cost


@dataclass(frozen=True)
class ConstraintSettings(Settings):
    """The bounds of a search, and the storage of its evaluations.

    Args:
        maximum (Mapping[str, float]): largest value allowed, by cost.
        minimum (Mapping[str, float]): least value allowed, by cost.
        storage (str): Optuna storage URL; empty for a SQLite file in the run directory.
        latency_table (str): path of a file written by ``spos latency``; it adds the cost
            ``latency``.
        latency_device (str): device that the table was measured on; empty for this device.
        budgets (Mapping[str, tuple[float, ...]]): several largest values of one cost, each of which
            gets a search of its own. The other bounds apply to all searches.

    Raises:
        UserError: the budgets are of several costs, or ``maximum`` bounds the same cost.
    """

    section = "constraint"

    maximum: Mapping[str, float] = field(default_factory=dict)
    minimum: Mapping[str, float] = field(default_factory=dict)
    storage: str = ""
    latency_table: str = ""
    latency_device: str = ""
    budgets: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
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
                f"--latency-device {self.latency_device} is the device of a latency table; "
                "give --latency-table FILE as well"
            )

    @property
    def constraints(self) -> tuple[Constraint, ...]:
        """Constraints of all searches, from the smallest budget; a single one without budgets.

        Example:
            >>> given = ConstraintSettings(budgets={"flops": (40e6, 60e6)})
            >>> [str(constraint) for constraint in given.constraints]
            ['flops <= 40.00M', 'flops <= 60.00M']
        """
        return tuple(
            # The cost of the budgets comes first, because the first cost is the primary one.
            Constraint(maximum={cost: value, **self.maximum}, minimum=self.minimum)
            for cost, values in self.budgets.items()
            for value in values
        ) or (Constraint(maximum=self.maximum, minimum=self.minimum),)


def read_constraint(values: Mapping[str, Any]) -> dict[str, Any]:
    """Convert the quantities among the settings of a constraint, such as 330M, to numbers.

    Args:
        values (Mapping): settings as read from YAML.

    Raises:
        UserError: a bound is not a number, or a budget is given twice.

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


def parse_budgets(text: str) -> dict[str, tuple[float, ...]]:
    """Parse budgets as they are written on the command line.

    Args:
        text (str): a cost and its budgets, such as ``flops=40M,60M,80M``.

    Raises:
        UserError: the text has another form, or a budget is given twice.

    Example:
        >>> parse_budgets("flops=60M,40M")
        {'flops': (40000000.0, 60000000.0)}
    """
    cost, equals, values = text.partition("=")
    cost = cost.strip()
    if not equals or not cost or not values.strip() or "=" in values:
        raise UserError(
            f"--budgets {text}: write one cost and its limits, such as --budgets flops=40M,60M,80M"
        )
    return {cost: _budgets(cost, values.split(","), f"--budgets {cost}")}


def _budgets(cost: str, given: Any, key: str) -> tuple[float, ...]:
    if isinstance(given, str):
        given = given.split(",")
    if not isinstance(given, Sequence):
        given = [given]
    values = sorted(read_bound(cost, value, key) for value in given)
    if not values:
        raise UserError(f"{key} is empty: give limits such as 40M,60M,80M")
    for value, following in pairwise(values):
        if value == following:
            raise UserError(f"{key}: {find_cost(cost).format(value)} is given twice")
    return tuple(values)


def read_bound(cost: str, value: Any, key: str) -> float:
    """Parse a bound of a cost, a quantity in its unit or 0.

    Args:
        cost (str): name of the cost.
        value (Any): quantity such as ``"330M"`` or ``"4ms"``, or a number; times are in
            nanoseconds.
        key (str): name of the setting in error messages.

    Raises:
        UserError: the value is not a quantity in the unit of the cost.

    Example:
        >>> read_bound("latency", "4ms", "--max-latency"), read_bound("strides", "0", "--max")
        (4000000.0, 0.0)
    """
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise UserError(f"{key}: {value!r} is not a number such as 330M")
    # A count may be bounded by 0.
    return 0.0 if str(value).strip() in ("0", "0.0") else find_cost(cost).parse(value, key)
