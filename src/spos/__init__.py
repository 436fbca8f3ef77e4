"""Single-path one-shot neural architecture search for PyTorch.

A supernet is an ordinary module in which a few modules read a choice; an architecture is plain
data, one option a choice; everything else is a function over the two.
"""

from spos.cost import Constraint, CostTable
from spos.errors import UserError
from spos.evaluation import OneShotEvaluator
from spos.nn import OneOf
from spos.space import Architecture, Choice, SearchSpace
from spos.supernet import Stage, Supernet
from spos.version import __version__

__all__ = [
    "Architecture",
    "Choice",
    "Constraint",
    "CostTable",
    "OneOf",
    "OneShotEvaluator",
    "SearchSpace",
    "Stage",
    "Supernet",
    "UserError",
    "__version__",
]
