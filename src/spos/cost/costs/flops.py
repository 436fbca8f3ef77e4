"""Multiply-adds, which the field prints as "FLOPs"."""

from spos.cost.cost import Cost, register_cost

register_cost(
    Cost(
        "flops",
        label="FLOPs",
        noun="multiply-adds",
        title="FLOPs (multiply-adds)",
        heading="FLOPs",
        help="multiply-adds, such as 330M",
    )
)
