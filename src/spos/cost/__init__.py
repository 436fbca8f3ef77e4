"""Costs of architectures, and constraints on them. One unit: multiply-adds, the field's "FLOPs"."""

from spos.cost.constraint import Constraint
from spos.cost.count import COSTS, count_network
from spos.cost.model import CostModel
from spos.cost.option_count import OptionCount
from spos.cost.table import CostTable

__all__ = [
    "COSTS",
    "Constraint",
    "CostModel",
    "CostTable",
    "OptionCount",
    "count_network",
]
