"""Costs of architectures, and constraints on them. One unit: multiply-adds, the field's "FLOPs"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spos._util.lazy import lazy_names

if TYPE_CHECKING:
    from spos.cost.constraint import Constraint
    from spos.cost.count import COSTS, count_network
    from spos.cost.model import CostModel
    from spos.cost.option_count import OptionCount
    from spos.cost.table import CostTable

__all__ = ["COSTS", "Constraint", "CostModel", "CostTable", "OptionCount", "count_network"]

if not TYPE_CHECKING:
    __getattr__ = lazy_names(
        __name__,
        {
            "COSTS": "spos.cost.count",
            "Constraint": "spos.cost.constraint",
            "CostModel": "spos.cost.model",
            "CostTable": "spos.cost.table",
            "OptionCount": "spos.cost.option_count",
            "count_network": "spos.cost.count",
        },
    )
