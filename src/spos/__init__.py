"""Single-path one-shot neural architecture search for PyTorch.

A supernet is an ordinary module in which a few modules read a choice; an architecture is plain
data, one option a choice; everything else is a function over the two.
"""

from typing import TYPE_CHECKING

from spos._util.lazy import lazy_names
from spos._util.version import __version__

if TYPE_CHECKING:
    from spos._util.errors import UserError
    from spos.cost import Constraint, CostTable
    from spos.export.loading import load
    from spos.nn import OneOf
    from spos.nn.supernet import Stage, Supernet
    from spos.run.task import Task
    from spos.search.evaluation import OneShotEvaluator
    from spos.space import Architecture, Choice, SearchSpace

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
    "Task",
    "UserError",
    "__version__",
    "load",
]

_PACKAGES = ("cost", "data", "export", "nn", "report", "run", "search", "spaces", "training")

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_names(__name__, _PACKAGES)
