"""Algorithm 1 of the paper: what the next population is, given the results so far."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

from spos._util.randomness import generator
from spos.search.feasible import Feasible
from spos.search.settings import SearchSettings
from spos.space import Architecture

ORIGINS = ("known", "crossover", "mutation", "random")


@dataclass(frozen=True)
class Proposal:
    """A candidate before it is evaluated.

    Args:
        architecture: what is proposed.
        iteration: of the search, from 0.
        position: in the population of the iteration, from 0.
        origin: how it came about, one of :data:`ORIGINS`.
    """

    architecture: Architecture
    iteration: int
    position: int
    origin: str


def best(
    proposals: Iterable[Proposal], accuracies: Mapping[Architecture, float], count: int
) -> list[Proposal]:
    """The most accurate of evaluated proposals, most accurate first.

    Of equals the one of the earlier iteration, then of the earlier position, comes first.

    Args:
        proposals: the candidates, all evaluated.
        accuracies: of each architecture.
        count: how many to return at most.

    Example:
        >>> old = Proposal(Architecture([0]), 0, 7, "random")
        >>> new = Proposal(Architecture([1]), 1, 0, "random")
        >>> best([new, old], {old.architecture: 0.9, new.architecture: 0.9}, 1) == [old]
        True
    """
    return heapq.nsmallest(
        count, proposals, key=lambda p: (-accuracies[p.architecture], p.iteration, p.position)
    )


def first_population(
    feasible: Feasible, settings: SearchSettings, known: Sequence[Architecture] = ()
) -> list[Proposal]:
    """The population that a search begins with.

    Args:
        feasible: what may be proposed.
        settings: of the search.
        known: feasible architectures to begin with; random ones fill the population up.

    Returns:
        As many proposals as the population has, fewer where no more are feasible.

    Raises:
        UserError: nothing is feasible.
    """
    start = [(architecture, "known") for architecture in known[: settings.population]]
    missing = settings.population - len(start)
    random = generator(settings.seed, "population", 0)
    start += [(a, "random") for a in feasible.draw(missing, random, {a for a, _ in start})]
    return _numbered(start, 0)


def next_population(
    feasible: Feasible,
    settings: SearchSettings,
    iteration: int,
    parents: Sequence[Architecture],
    seen: Set[Architecture],
) -> list[Proposal]:
    """The population of a later iteration: children by crossover, by mutation, and the rest random.

    A function of its arguments alone. A crossover takes each option from one of two different
    parents; a mutation redraws each option of a parent with the probability of the settings. Only
    new feasible children count; where they cannot be found in the tries of the settings, random
    candidates take their places.

    Args:
        feasible: what may be proposed.
        settings: of the search; with the algorithm ``"random"`` all of the population is random.
        iteration: which population, from 1.
        parents: the best architectures seen, at least 1 for an evolution.
        seen: all that were proposed before; they are not proposed again.

    Returns:
        As many proposals as the population has, fewer where no more are feasible.

    Source: Guo et al., Algorithm 1.
    """
    space = feasible.space
    population: dict[Architecture, str] = {}

    def breed(origin: str, count: int, child: Callable[[], Architecture]) -> None:
        wanted = len(population) + count
        for _ in range(settings.tries):
            missing = wanted - len(population)
            if missing == 0:
                return
            children = [child() for _ in range(missing)]
            for new, within in zip(children, feasible.satisfied(children), strict=True):
                if within and new not in seen:
                    population.setdefault(new, origin)

    if settings.algorithm == "evolution":
        crossover, mutation = settings.children
        random_crossover = generator(settings.seed, "crossover", iteration)
        if len(parents) > 1:

            def crossed() -> Architecture:
                mother, father = random_crossover.choice(len(parents), 2, replace=False).tolist()
                return space.crossover(parents[mother], parents[father], random_crossover)

            breed("crossover", crossover, crossed)
        random_mutation = generator(settings.seed, "mutation", iteration)

        def mutated() -> Architecture:
            parent = parents[int(random_mutation.integers(len(parents)))]
            return space.mutate(parent, random_mutation, settings.mutation)

        breed("mutation", mutation, mutated)
    missing = settings.population - len(population)
    fresh = generator(settings.seed, "population", iteration)
    for architecture in feasible.draw(missing, fresh, seen | population.keys()):
        population[architecture] = "random"
    return _numbered(list(population.items()), iteration)


def _numbered(population: Sequence[tuple[Architecture, str]], iteration: int) -> list[Proposal]:
    return [
        Proposal(architecture, iteration, position, origin)
        for position, (architecture, origin) in enumerate(population)
    ]
