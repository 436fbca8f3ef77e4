"""How far networks differ, beside how far repeated trainings of one network do."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

#: Expected maximum of so many draws from a standard normal distribution: what a perfect search
#: among about 100 random networks gains, in standard deviations.
BEST_OF_100 = 2.508
#: Standard errors that a difference must exceed to be shown.
ERRORS = 2.0


@dataclass(frozen=True)
class Spread:
    """The variance of scores, split into that of networks and that of trainings.

    Args:
        median (float): median of the networks' mean scores.
        upper (float): standard deviation of the networks' true scores as the better half of them
            shows it, at least 0: networks that learn nothing make the other half wider.
        networks (float): standard deviation of the networks' true scores, at least 0.
        trainings (float): standard deviation of repeated trainings of one network, at least 0.
        probability (float): probability of differences between networks as large as these if only
            trainings differed (F test), in [0, 1].
    """

    median: float
    upper: float
    networks: float
    trainings: float
    probability: float

    @property
    def gain(self) -> float:
        """What a perfect search among 100 networks gains over the median one."""
        return BEST_OF_100 * self.upper

    @property
    def reliability(self) -> float:
        """Share of the variance of single trainings that is due to the networks, in [0, 1]."""
        total = self.networks**2 + self.trainings**2
        return self.networks**2 / total if total else 0.0

    def random_networks(self, difference: float, seeds: int) -> int | None:
        """Number of random networks that a difference needs to exceed two standard errors.

        Args:
            difference (float): score of the network found less the mean of the random ones.
            seeds (int): number of trainings of the network found, at least 1.

        Returns:
            The number, each trained once; None if no number suffices with so few seeds.
        """
        allowed = (difference / ERRORS) ** 2 - self.trainings**2 / seeds
        if allowed <= 0:
            return None
        return max(2, math.ceil((self.upper**2 + self.trainings**2) / allowed))


def measure_spread(scores: Sequence[Sequence[float]]) -> Spread:
    """Split the variance of scores by a one-way analysis of variance with random effects.

    Args:
        scores (Sequence[Sequence[float]]): scores of each network, one per training; at least two
            networks with at least two trainings each, all with the same number.

    Source: Searle, Casella and McCulloch, "Variance Components", 1992, Section 3.5.

    Example:
        >>> spread = measure_spread([[0.90, 0.92], [0.80, 0.82], [0.70, 0.72]])
        >>> round(spread.networks, 2), round(spread.trainings, 3), spread.probability < 0.01
        (0.1, 0.014, True)
    """
    from scipy.stats import f

    count, seeds = len(scores), len(scores[0])
    means = [statistics.fmean(row) for row in scores]
    within = statistics.fmean(statistics.variance(row) for row in scores)
    between = seeds * statistics.variance(means)
    ratio = between / within if within else math.inf
    median = statistics.median(means)
    # Of half of them: an odd number has the median itself among those that are not below it.
    above = sum((mean - median) ** 2 for mean in means if mean > median) / (count / 2)
    return Spread(
        median=median,
        upper=math.sqrt(max(0.0, above - within / seeds)),
        networks=math.sqrt(max(0.0, (between - within) / seeds)),
        trainings=math.sqrt(within),
        probability=float(f.sf(ratio, count - 1, count * (seeds - 1))),
    )
