"""What the differentiable searches have in common: networks of a learned distribution."""

from __future__ import annotations

from collections.abc import Mapping

from spos._util.errors import UserError
from spos._util.randomness import generator
from spos.search.algorithm import Algorithm
from spos.search.derive import Distribution
from spos.search.history import History
from spos.space import Architecture


class DistributionSearch(Algorithm):
    """The most probable architecture of a trained distribution, and samples of it if asked for."""

    continues = False
    serves_budgets = False
    fills = False

    @property
    def population(self) -> int:
        """One architecture, or as many as are to be sampled."""
        return 1 if self.prior is None else self.prior.samples

    @property
    def iterations(self) -> int:
        """There is nothing to learn from the scores."""
        return 1

    def propose(self, iteration: int, history: History) -> Mapping[Architecture, str]:
        """The most probable architecture within the constraint, then samples."""
        if self.prior is None:
            raise UserError(
                f"search algorithm {self.settings.algorithm}: it needs a supernet trained by the "
                f"method {self.method}, with the probabilities of its options"
            )
        distribution = Distribution(self.feasible, self.prior.probabilities)
        origins = {distribution.most_probable(): "argmax"}
        count = self.prior.samples
        if count > 1:
            random = generator(self.settings.seed, "derive")
            for architecture in distribution.sample(count, random):
                if len(origins) < count:
                    origins.setdefault(architecture, "sampled")
        return origins
