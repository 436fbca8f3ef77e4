"""Evolution, the search of the paper."""

from __future__ import annotations

from collections.abc import Mapping

from spos._util.randomness import generator
from spos.search.algorithm import ALGORITHMS, Algorithm
from spos.search.history import History
from spos.space import Architecture


@ALGORITHMS.register("evolution")
class Evolution(Algorithm):
    """Evolution by crossover and mutation of the best candidates so far.

    A crossover takes each option from one of two different parents; a mutation redraws each option
    of a parent with the probability in the settings. The first population consists of the best
    candidates that were evaluated before, unless ``from_known`` is false.

    Source: Guo et al., Algorithm 1.
    """

    label = "Evolution"

    def propose(self, iteration: int, history: History) -> Mapping[Architecture, str]:
        """Propose new children of the best candidates within the constraint."""
        if iteration == 0:
            return self._best_known(history)
        space, settings = self.feasible.space, self.settings
        parents = history.best(settings.parents)
        population: dict[Architecture, str] = {}
        crossover, mutation = settings.children
        random_crossover = generator(settings.seed, "crossover", iteration)

        def crossed() -> Architecture:
            mother, father = random_crossover.choice(len(parents), 2, replace=False).tolist()
            return space.crossover(parents[mother], parents[father], random_crossover)

        random_mutation = generator(settings.seed, "mutation", iteration)

        def mutated() -> Architecture:
            parent = parents[int(random_mutation.integers(len(parents)))]
            return space.mutate(parent, random_mutation, settings.mutation)

        if len(parents) > 1:
            self._breed(population, crossover, "crossover", history, crossed)
        self._breed(population, mutation, "mutation", history, mutated)
        return population
