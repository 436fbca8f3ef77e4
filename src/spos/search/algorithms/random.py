"""Random search: the baseline that any other algorithm has to beat."""

from __future__ import annotations

from collections.abc import Mapping

from spos.search.algorithm import ALGORITHMS, Algorithm
from spos.search.history import History
from spos.space import Architecture


@ALGORITHMS.register("random")
class RandomSearch(Algorithm):
    """Candidates drawn uniformly from those within the constraint.

    Source: Guo et al., Section 4.1, the baseline of the evolution.
    """

    label = "Random search"
    finds_fronts = True

    def propose(self, iteration: int, history: History) -> Mapping[Architecture, str]:
        """Nothing: the search fills populations up at random."""
        return {}
