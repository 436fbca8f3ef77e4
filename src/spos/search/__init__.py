"""Architecture search: evolution (Algorithm 1 of the paper), fronts, and a random baseline."""

from spos.cost.model import CostModel
from spos.search.feasible import Feasible
from spos.search.pareto import check_costs
from spos.search.run import Candidate, SearchResult, search
from spos.search.sampler import EvolutionSampler
from spos.search.settings import ALGORITHMS, DIFFERENTIABLE, SearchSettings
from spos.search.start import evaluated_by
from spos.search.study import evaluations, open_storage, open_study

__all__ = [
    "ALGORITHMS",
    "DIFFERENTIABLE",
    "Candidate",
    "CostModel",
    "EvolutionSampler",
    "Feasible",
    "SearchResult",
    "SearchSettings",
    "check_costs",
    "evaluated_by",
    "evaluations",
    "open_storage",
    "open_study",
    "search",
]
