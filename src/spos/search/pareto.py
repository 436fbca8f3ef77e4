"""A front of accuracy and costs: which candidates no other one is better than."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from spos._util.errors import UserError, nearest
from spos.search.evolution import Proposal, next_population
from spos.search.feasible import Feasible
from spos.search.nsga2 import Generations, Values
from spos.search.progress import Progress
from spos.search.settings import SearchSettings
from spos.space import Architecture


def front(points: Iterable[Values]) -> list[int]:
    """Which points no other point is better than.

    A point is better than another one where its first value, the accuracy, is as large and every
    other value, a cost, as small, and one of them differs. Of equal points the first counts.

    Args:
        points: each an accuracy and then costs.

    Returns:
        Their positions, by cost (the first one, then the next) and then by accuracy, best first.

    Example:
        >>> front([(0.8, 20), (0.9, 30), (0.7, 25), (0.8, 20), (0.6, 10)])
        [4, 0, 1]
    """
    values = np.array([(-accuracy, *costs) for accuracy, *costs in points], dtype=np.float64)
    if len(values) == 0:
        return []
    # By cost, then the more accurate, then the earlier one.
    order = np.lexsort((np.arange(len(values)), values[:, 0], *values[:, :0:-1].T))
    kept: list[int] = []
    for position in order.tolist():
        # Whatever is better costs as little, so that it comes before.
        if not kept or not _as_good(values[kept], values[position]):
            kept.append(position)
    return kept


def _as_good(others: NDArray[np.float64], point: NDArray[np.float64]) -> bool:
    return bool((others <= point).all(axis=1).any())


class ParetoProgress(Progress):
    """The course of a search for a front: NSGA-II, or random candidates as its baseline.

    As :class:`Progress`, it depends on its settings and on the accuracies alone.

    Args:
        feasible: what may be proposed.
        settings: of the search; ``pareto`` names the costs to minimise.
        known: accuracies known before the search began; the search starts from those of them that
            NSGA-II would keep, unless the settings say otherwise.

    Raises:
        UserError: nothing is feasible, or a cost is unknown.
    """

    def __init__(
        self,
        feasible: Feasible,
        settings: SearchSettings,
        known: Mapping[Architecture, float] | None = None,
    ) -> None:
        check_costs(settings, feasible.table.names)
        self._generations = Generations(feasible, settings) if settings.population > 1 else None
        self._values: dict[Architecture, Values] = {}
        super().__init__(feasible, settings, known)

    def best(self) -> list[Proposal]:
        """The most accurate candidates so far, as many as are parents; the cheaper of equals."""
        evaluated = [p for p in self.proposals if p.architecture in self.accuracies]
        values = self._values_of(p.architecture for p in evaluated)

        def rank(proposal: Proposal) -> tuple[float, ...]:
            accuracy, *costs = values[proposal.architecture]
            return (-accuracy, *costs, proposal.iteration, proposal.position)

        return sorted(evaluated, key=rank)[: self.settings.parents]

    def front(self) -> list[Proposal]:
        """The candidates that no other one is better than, the cheapest first."""
        evaluated = [p for p in self.proposals if p.architecture in self.accuracies]
        values = self._values_of(p.architecture for p in evaluated)
        return [evaluated[n] for n in front(values[p.architecture] for p in evaluated)]

    def _fittest(self, known: list[Architecture]) -> list[Architecture]:
        if not known or self._generations is None:
            return []
        return self._generations.fittest(self._values_of(known))

    def _next(self, iteration: int) -> list[Proposal]:
        seen = {p.architecture for p in self.proposals}
        if self.settings.algorithm == "random" or self._generations is None:
            return next_population(self.feasible, self.settings, iteration, [], seen)
        population = [p.architecture for p in self.population]
        return self._generations.following(iteration, population, self._values_of(population), seen)

    def _values_of(self, architectures: Iterable[Architecture]) -> dict[Architecture, Values]:
        chosen = list(architectures)
        new = [a for a in chosen if a not in self._values]
        if new:
            table = self.feasible.table
            columns = [table.names.index(name) for name in self.settings.pareto]
            costs = table.many(np.array(new, dtype=np.int64))[:, columns].tolist()
            for architecture, row in zip(new, costs, strict=True):
                self._values[architecture] = (self.accuracies[architecture], *row)
        return {architecture: self._values[architecture] for architecture in chosen}


def check_costs(settings: SearchSettings, names: Iterable[str]) -> None:
    """Refuse a front of costs that the space does not have.

    Raises:
        UserError: a cost is unknown.
    """
    known = tuple(names)
    for name in settings.pareto:
        if name not in known:
            raise UserError(f"search pareto: unknown cost '{name}': {nearest(name, known)}")
