"""Latency: the time of one inference, from a table measured on the device."""

from spos.cost.cost import Cost, register_cost
from spos.cost.units import TIME

register_cost(
    Cost(
        "latency",
        noun="of latency",
        title="latency (by the measured table)",
        help="of latency, such as 4ms or 350us",
        unit=TIME,
    )
)
