"""Size of all parameters in bits: quantised weights at their bit-width, all others at 32."""

from spos.cost.cost import Cost, register_cost

register_cost(
    Cost("model_bits", label="bits of parameters", help="bits of all parameters, such as 28M")
)
