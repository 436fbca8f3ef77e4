"""Costs of architectures, and constraints on them; "FLOPs" are multiply-adds throughout."""

from typing import TYPE_CHECKING

from spos._util.lazy import lazy_names

if TYPE_CHECKING:
    from spos.cost.combined import OptionCount
    from spos.cost.constraint import Constraint
    from spos.cost.cost import COSTS, Cost, find_cost, register_cost
    from spos.cost.count import count_network
    from spos.cost.model import CostModel
    from spos.cost.table import CostTable

__all__ = [
    "COSTS",
    "Constraint",
    "Cost",
    "CostModel",
    "CostTable",
    "OptionCount",
    "count_network",
    "find_cost",
    "register_cost",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_names(__name__)
