"""The base of the differentiable search algorithms, which derive networks from probabilities."""

from __future__ import annotations

from collections.abc import Mapping

from spos._util.errors import UserError
from spos._util.randomness import generator
from spos.search.algorithm import OF_BREEDING, Algorithm
from spos.search.derive import Distribution
from spos.search.history import History
from spos.space import Architecture


class DistributionSearch(Algorithm):
    """Search among the most probable architecture of a learned distribution and samples of it."""

    continues = False
    serves_budgets = False
    fills = False
    unused = ("population", "iterations", *OF_BREEDING)

    @property
    def population(self) -> int:
        """Number of architectures to sample; 1 for the most probable one."""
        return 1 if self.prior is None else self.prior.samples

    @property
    def iterations(self) -> int:
        """Always 1, because the proposals do not depend on scores."""
        return 1

    def propose(self, iteration: int, history: History) -> Mapping[Architecture, str]:
        """Propose the most probable architecture within the constraint, then samples."""
        if self.prior is None:
            raise UserError(
                f"search algorithm {self.settings.algorithm} needs a supernet trained by the "
                f"method {self.method}, with the probabilities of its options"
            )
        distribution = Distribution(self.feasible, self.prior.probabilities)
        origins = {distribution.most_probable(): "argmax"}
        if self.population > 1:
            random = generator(self.settings.seed, "derive")
            for architecture in distribution.sample(self.population, random):
                origins.setdefault(architecture, "sampled")
        return origins
