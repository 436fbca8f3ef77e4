"""Architecture search: evolution (Algorithm 1 of the paper) and its random baseline."""

from spos.cost.model import CostModel
from spos.search.feasible import Feasible
from spos.search.run import Candidate, SearchResult, search
from spos.search.sampler import EvolutionSampler
from spos.search.settings import ALGORITHMS, SearchSettings
from spos.search.study import evaluations, open_storage, open_study

__all__ = [
    "ALGORITHMS",
    "Candidate",
    "CostModel",
    "EvolutionSampler",
    "Feasible",
    "SearchResult",
    "SearchSettings",
    "evaluations",
    "open_storage",
    "open_study",
    "search",
]
