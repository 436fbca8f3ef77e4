"""How to search."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from spos._util.errors import UserError, nearest

#: The algorithm of a search for a front, where the settings name none.
FRONT_ALGORITHM = "nsga2"


@dataclass(frozen=True)
class SearchSettings:
    """The settings of a search; the defaults are the paper's.

    Args:
        algorithm: the name of a member of :data:`spos.search.ALGORITHMS`; those that train the
            choice itself, such as ``"fbnet"``, read ``parents`` alone of the settings below, as the
            number of best candidates to list.
        population: candidates per iteration (P), at least 1.
        iterations: populations evaluated (T), at least 1.
        parents: how many of the best candidates ever seen are parents (k), at least 1.
        mutation: the probability of redrawing an option of a mutated child, in [0, 1].
        crossover_children: children by crossover per iteration (n); half the population without it.
        mutation_children: children by mutation per iteration (m); without it what the crossover
            leaves of the population.
        tries: how many times as many children as are wanted are bred at most, to find new ones
            within the constraint; at least 1. Random candidates take the place of those not found.
        from_known: begin an evolution with the best candidates that the study knows already.
        seed: of all randomness, at least 0.
        pareto: costs to minimise beside the accuracy, by name: the search then finds a front.

    Raises:
        UserError: a setting is out of range or goes with another algorithm, or the children are
            more than the population.

    Source: Guo et al., Algorithm 1 and Section 4.

    Example:
        >>> SearchSettings().population * SearchSettings().iterations
        1000
        >>> SearchSettings(mutation=1.1)
        Traceback (most recent call last):
        ...
        spos.UserError: search mutation 1.1: allowed are probabilities from 0 to 1, nearest 1
    """

    algorithm: str = "evolution"
    population: int = 50
    iterations: int = 20
    parents: int = 10
    mutation: float = 0.1
    crossover_children: int | None = None
    mutation_children: int | None = None
    tries: int = 100
    from_known: bool = True
    seed: int = 0
    pareto: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, least in (
            ("population", 1),
            ("iterations", 1),
            ("parents", 1),
            ("tries", 1),
            ("seed", 0),
            ("crossover_children", 0),
            ("mutation_children", 0),
        ):
            value = getattr(self, name)
            if value is None and name.endswith("children"):
                continue
            if not isinstance(value, int) or value < least:
                raise UserError(
                    f"search {name.replace('_', ' ')} {value}: allowed are whole numbers from "
                    f"{least}, nearest {least}"
                )
        if not 0 <= self.mutation <= 1:
            closest = 1 if self.mutation > 1 else 0
            raise UserError(
                f"search mutation {self.mutation}: allowed are probabilities from 0 to 1, "
                f"nearest {closest}"
            )
        crossover, mutation = self.children
        if mutation < 0 or crossover + mutation > self.population:
            raise UserError(
                f"{crossover} children by crossover and {max(mutation, 0)} by mutation are more "
                f"than the population of {self.population}: allowed are at most "
                f"{self.population} together"
            )
        costs = ",".join(self.pareto)
        if len(set(self.pareto)) < len(self.pareto) or not all(self.pareto):
            raise UserError(f"search pareto {costs}: name each cost once, such as flops,params")

    @property
    def children(self) -> tuple[int, int]:
        """How many children an iteration has by crossover (n) and by mutation (m).

        Example:
            >>> SearchSettings(population=51).children
            (25, 26)
        """
        mutation = self.mutation_children
        crossover = self.crossover_children
        if crossover is None:
            crossover = self.population // 2
            if mutation is not None:
                crossover = min(crossover, self.population - mutation)
        if mutation is None:
            mutation = self.population - crossover
        return max(crossover, 0), mutation


def check_objectives(settings: SearchSettings, names: Iterable[str]) -> None:
    """Refuse to minimise costs that the space does not have.

    Args:
        settings (SearchSettings): settings of the search.
        names (Iterable[str]): names of the costs of the space.

    Raises:
        UserError: a cost is unknown.
    """
    known = tuple(names)
    for name in settings.pareto:
        if name not in known:
            raise UserError(f"search pareto: unknown cost '{name}': {nearest(name, known)}")
