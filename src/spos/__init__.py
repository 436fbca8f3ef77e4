"""Single-path one-shot neural architecture search for PyTorch.

A supernet is an ordinary module in which a few modules read a choice; an architecture is plain
data, one option a choice; everything else is a function over the two.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from spos.version import __version__

if TYPE_CHECKING:
    from spos.cost import Constraint, CostTable
    from spos.errors import UserError
    from spos.evaluation import OneShotEvaluator
    from spos.nn import OneOf
    from spos.space import Architecture, Choice, SearchSpace
    from spos.supernet import Stage, Supernet
    from spos.task import Task

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
]

# Imported when first asked for: torch takes seconds, and `spos --help` needs none of it.
_MODULES = {
    "Architecture": "spos.space",
    "Choice": "spos.space",
    "Constraint": "spos.cost",
    "CostTable": "spos.cost",
    "OneOf": "spos.nn",
    "OneShotEvaluator": "spos.evaluation",
    "SearchSpace": "spos.space",
    "Stage": "spos.supernet",
    "Supernet": "spos.supernet",
    "Task": "spos.task",
    "UserError": "spos.errors",
}
_PACKAGES = ("cost", "data", "nn", "search", "spaces")


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    if name in _PACKAGES:
        return import_module(f"spos.{name}")
    raise AttributeError(f"module 'spos' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_PACKAGES})
