"""Random search, the baseline of the other algorithms."""

from __future__ import annotations

from collections.abc import Mapping

from spos.search.algorithm import ALGORITHMS, OF_BREEDING, Algorithm
from spos.search.history import History
from spos.space import Architecture


@ALGORITHMS.register("random")
class RandomSearch(Algorithm):
    """Search by uniform draws from the architectures within the constraint.

    Source: Guo et al., Section 4.1, the baseline of the evolution.
    """

    label = "Random search"
    finds_fronts = True
    unused = OF_BREEDING

    def propose(self, iteration: int, history: History) -> Mapping[Architecture, str]:
        """Propose nothing, because the search fills populations with random candidates."""
        return {}
