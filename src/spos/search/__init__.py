"""Architecture search: how candidates are scored, and the algorithms that propose them.

Called as a function, ``spos.search(model, data, ...)`` does everything from images to a network.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from spos._util.lazy import lazy_names

if TYPE_CHECKING:
    from spos.search.algorithm import ALGORITHMS, Algorithm, Prior
    from spos.search.candidate import Candidate, Proposal, SearchResult
    from spos.search.depth import Depth
    from spos.search.driver import search
    from spos.search.evaluation import OneShotEvaluator
    from spos.search.feasible import Feasible
    from spos.search.history import History
    from spos.search.naswot import Naswot
    from spos.search.patterns import Patterns
    from spos.search.settings import SearchSettings
    from spos.search.study import evaluations, open_storage, open_study
    from spos.search.training_free import WithTrainingFree

__all__ = [
    "ALGORITHMS",
    "Algorithm",
    "Candidate",
    "Depth",
    "Feasible",
    "History",
    "Naswot",
    "OneShotEvaluator",
    "Patterns",
    "Prior",
    "Proposal",
    "SearchResult",
    "SearchSettings",
    "WithTrainingFree",
    "evaluations",
    "open_storage",
    "open_study",
    "search",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_names(__name__)


class _Callable(ModuleType):
    """The package as the function of its name."""

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return import_module("spos._api").search(*arguments, **named)


sys.modules[__name__].__class__ = _Callable
