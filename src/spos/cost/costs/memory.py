"""Peak memory of activations in the inference of one image, in bytes."""

from spos.cost.cost import Cost, register_cost
from spos.cost.units import BYTES

register_cost(
    Cost(
        "memory",
        label="activation memory",
        noun="of activations at once",
        help="of activations at once, such as 2MB",
        unit=BYTES,
        counter="spos.cost.count:count_peak_memory",
        aggregation="peak",
    )
)
