"""Size of all parameters in bytes, with quantised weights at their bit-width."""

from spos.cost.cost import Cost, register_cost
from spos.cost.units import BYTES

register_cost(
    Cost(
        "model_bytes",
        label="model size",
        noun="of parameters",
        help="of all parameters, such as 5MB",
        unit=BYTES,
        counter="spos.cost.count:count_model_bytes",
    )
)
