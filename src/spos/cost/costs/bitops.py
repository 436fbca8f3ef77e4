"""Bit operations: multiply-adds times weight bits times activation bits of quantised layers."""

from spos.cost.cost import Cost, register_cost

register_cost(Cost("bitops", label="bit operations", help="bit operations, such as 6.78G"))
