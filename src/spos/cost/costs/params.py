"""Number of parameters of the stand-alone network."""

from spos.cost.cost import Cost, register_cost

register_cost(Cost("params", label="parameters", help="parameters, such as 3.5M"))
