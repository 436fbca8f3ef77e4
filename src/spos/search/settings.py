"""Settings of a search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from spos._util.errors import UserError, nearest
from spos._util.settings import Settings

#: The default algorithm of a search for a front.
FRONT_ALGORITHM = "nsga2"


@dataclass(frozen=True)
class SearchSettings(Settings):
    """Settings of a search; the defaults are those of the paper.

    Args:
        algorithm (str): name of a search algorithm in :data:`spos.search.ALGORITHMS`. The
            differentiable ones, such as ``"fbnet"``, use only ``parents`` of the settings below, as
            the number of best candidates to list.
        population (int): candidates per iteration (P), at least 1.
        iterations (int): number of populations (T), at least 1.
        parents (int): number of best candidates so far that are parents (k), at least 1.
        mutation (float): probability of redrawing an option of a mutated child, in [0, 1].
        crossover_children (int | None): children by crossover per iteration (n), at least 0; None
            for half the population.
        mutation_children (int | None): children by mutation per iteration (m), at least 0; None for
            the rest of the population.
        tries (int): limit of the attempts to breed new feasible children, as a multiple of the
            children, 1 to 10,000; random candidates replace the missing ones.
        fitness (str): score of a candidate: ``loss`` on the validation images, which ranks networks
            better than their accuracy does if the images are few; ``metric`` of the run;
            ``zscore``, the standardised output for the class of an image, which does not depend on
            the scale of the outputs; ``auto`` for the loss in classification, and the metric of a
            task of your own.
        depth_weight (float): weight of the depth of a network beside its one-shot score, 0 to
            1000, both in standard deviations over random networks. For spaces in which layers
            may be skipped, where one-shot scores undervalue deep networks; 0.5 is a good start.
        naswot_weight (float): weight of the NASWOT score of the untrained network
            (:class:`spos.search.naswot.Naswot`), likewise.
        patterns_weight (float): weight of the number of activation patterns of the untrained
            network (:class:`spos.search.patterns.Patterns`), likewise.
        racing (float): confidence with which a candidate that is not among the ``parents`` best
            is dropped before it is scored on all validation images, at least 0.5 and below 1; 0
            for no racing (:mod:`spos.search.racing`).
        from_known (bool): whether the first population consists of the best candidates that the
            study already contains.
        seed (int): seed of all randomness, 0 to 1e18; in a run that of the run, if not given.
        pareto (tuple[str, ...]): names of the costs to minimise in addition to maximising the
            score; not empty to search for a front.

    Raises:
        UserError: a setting is out of range, or the children exceed the population.

    Source: Guo et al., Algorithm 1 and Section 4.

    Example:
        >>> SearchSettings().population * SearchSettings().iterations
        1000
        >>> SearchSettings(mutation=1.1)
        Traceback (most recent call last):
        ...
        spos.UserError: search.mutation 1.1: must be at most 1
    """

    section = "search"

    algorithm: str = "evolution"
    population: Annotated[int, Field(ge=1)] = 50
    iterations: Annotated[int, Field(ge=1)] = 20
    parents: Annotated[int, Field(ge=1)] = 10
    mutation: Annotated[float, Field(ge=0, le=1)] = 0.1
    crossover_children: Annotated[int, Field(ge=0)] | None = None
    mutation_children: Annotated[int, Field(ge=0)] | None = None
    tries: Annotated[int, Field(ge=1, le=10_000)] = 100
    fitness: Literal["auto", "loss", "metric", "zscore"] = "auto"
    depth_weight: Annotated[float, Field(ge=0, le=1000)] = 0.0
    naswot_weight: Annotated[float, Field(ge=0, le=1000)] = 0.0
    patterns_weight: Annotated[float, Field(ge=0, le=1000)] = 0.0
    racing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    from_known: bool = True
    seed: Annotated[int, Field(ge=0)] = 0
    pareto: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        crossover, mutation = self.children
        if mutation < 0 or crossover + mutation > self.population:
            raise UserError(
                f"{crossover} children by crossover and {max(mutation, 0)} by mutation are more "
                f"than the population of {self.population}: allowed are at most "
                f"{self.population} together"
            )
        if 0 < self.racing < 0.5:
            raise UserError(
                f"search.racing {self.racing}: must be 0, for no racing, or at least 0.5 and below "
                f"1; nearest valid: {0 if self.racing < 0.25 else 0.5}"
            )
        costs = ",".join(self.pareto)
        if self.racing and self.pareto:
            raise UserError(
                f"search.racing {self.racing} and search.pareto {costs}: candidates of a front do "
                "not race, because no score is too low for it; give one of them, not both"
            )
        if len(set(self.pareto)) < len(self.pareto) or not all(self.pareto):
            raise UserError(f"search.pareto {costs}: name each cost once, such as flops,params")

    @property
    def children(self) -> tuple[int, int]:
        """Numbers of children per iteration by crossover (n) and by mutation (m).

        Example:
            >>> SearchSettings(population=51).children
            (25, 26)
        """
        crossover, mutation = self.crossover_children, self.mutation_children
        if crossover is None:
            crossover = min(self.population // 2, self.population - (mutation or 0))
        if mutation is None:
            mutation = self.population - crossover
        return max(crossover, 0), mutation


def check_objectives(settings: SearchSettings, names: Sequence[str]) -> None:
    """Check that the costs to minimise exist in the space.

    Raises:
        UserError: a cost is unknown.
    """
    for name in settings.pareto:
        if name not in names:
            raise UserError(f"search.pareto: unknown cost '{name}': {nearest(name, names)}")
