"""Costs of architectures, and constraints on them. One unit: multiply-adds, the field's "FLOPs"."""

from spos.cost.constraint import Constraint
from spos.cost.count import COSTS, count_network
from spos.cost.table import CostTable
from spos.cost.units import format_quantity, parse_quantity

__all__ = [
    "COSTS",
    "Constraint",
    "CostTable",
    "count_network",
    "format_quantity",
    "parse_quantity",
]
