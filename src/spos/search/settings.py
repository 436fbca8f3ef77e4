"""How to search."""

from __future__ import annotations

from dataclasses import dataclass

from spos._util.errors import UserError, nearest

#: Those that train architecture parameters together with the weights.
DIFFERENTIABLE = ("fbnet", "darts", "proxylessnas")
ALGORITHMS = ("evolution", "random", "nsga2", *DIFFERENTIABLE)


@dataclass(frozen=True)
class SearchSettings:
    """The settings of a search; the defaults are the paper's.

    Args:
        algorithm: ``"evolution"``, ``"nsga2"`` for a front of accuracy and costs, or ``"random"``
            for the baseline with the same budget. ``"fbnet"``, ``"darts"`` and ``"proxylessnas"``
            train the choice itself (:mod:`spos.training.methods`); of the settings below they read
            ``parents`` alone, as the number of best candidates to list.
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
        >>> SearchSettings(algorithm="evolutoin")
        Traceback (most recent call last):
        ...
        spos.UserError: unknown search algorithm 'evolutoin': did you mean 'evolution'? \
allowed: evolution, random, nsga2, fbnet, darts, proxylessnas
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
        if self.algorithm not in ALGORITHMS:
            hint = nearest(str(self.algorithm), ALGORITHMS)
            raise UserError(f"unknown search algorithm '{self.algorithm}': {hint}")
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
        self._check_front()

    def _check_front(self) -> None:
        costs = ",".join(self.pareto)
        if len(set(self.pareto)) < len(self.pareto) or not all(self.pareto):
            raise UserError(f"search pareto {costs}: name each cost once, such as flops,params")
        if self.pareto and self.algorithm == "evolution":
            raise UserError(
                f"search pareto {costs}: evolution finds one network, not a front; allowed with it "
                "are the algorithms nsga2 and random"
            )
        if self.algorithm != "nsga2":
            return
        if not self.pareto:
            raise UserError(
                "search algorithm nsga2: name the costs to minimise beside the accuracy, such as "
                "--pareto flops"
            )
        if self.population < 2:
            raise UserError(
                f"search population {self.population}: nsga2 crosses two networks, the least is 2"
            )
        for name in ("crossover_children", "mutation_children"):
            if getattr(self, name) is not None:
                raise UserError(
                    f"search {name}: nsga2 makes every child by crossover and mutation; leave it "
                    "out, or give the algorithm evolution"
                )

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
