"""The seam for search algorithms: what one says of itself, and how it proposes candidates."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from numpy.typing import NDArray

from spos._util.errors import UserError
from spos._util.registry import Registry
from spos.search.feasible import Feasible
from spos.search.history import History
from spos.search.settings import SearchSettings
from spos.space import Architecture


@dataclass(frozen=True)
class Prior:
    """What the training of a supernet learned of its architectures beside its weights.

    Args:
        probabilities (tuple[NDArray, ...]): one array a choice, the probabilities of its options.
        samples (int): how many architectures to score, at least 1; with 1 the most probable one.
    """

    probabilities: tuple[NDArray[Any], ...]
    samples: int = 1


class Algorithm(ABC):
    """A way to search: it proposes populations, each from the scores of those before it.

    What it proposes depends on its arguments alone, and randomness derives from the seed and the
    iteration (:func:`spos._util.randomness.generator`), so that a search that was killed goes on
    exactly. The search drops proposals that are not feasible or were proposed before, and fills the
    population up with random candidates.

    Args:
        feasible (Feasible): the architectures within the constraint.
        settings (SearchSettings): settings of the search.
        prior (Prior | None): what the training of the supernet left; None where it left nothing.

    Example:
        >>> class Halves(Algorithm):
        ...     label = "Halves"
        ...     def propose(self, iteration, history):
        ...         best = history.best(1)
        ...         return {Architecture(option // 2 for option in one): "half" for one in best}
        >>> ALGORITHMS.register("halves")(Halves).fills
        True
    """

    #: What the report and the tables call it.
    label: ClassVar[str]
    #: The training method that its supernet needs; None for any that trains single paths.
    method: ClassVar[str | None] = None
    #: Whether a finished search goes on when it is given more iterations.
    continues: ClassVar[bool] = True
    #: Whether one supernet serves searches for several budgets.
    serves_budgets: ClassVar[bool] = True
    #: Whether it finds a front of the score and costs.
    finds_fronts: ClassVar[bool] = False
    #: Whether random candidates take the places that its proposals leave.
    fills: ClassVar[bool] = True

    def __init__(
        self, feasible: Feasible, settings: SearchSettings, prior: Prior | None = None
    ) -> None:
        self.check(settings)
        self.feasible = feasible
        self.settings = settings
        self.prior = prior

    @property
    def population(self) -> int:
        """Candidates in each iteration."""
        return self.settings.population

    @property
    def iterations(self) -> int:
        """Iterations of the search."""
        return self.settings.iterations

    @classmethod
    def check(cls, settings: SearchSettings) -> None:
        """Refuse settings that do not go with the algorithm.

        Raises:
            UserError: it says which setting, and what is allowed.
        """
        if settings.pareto and not cls.finds_fronts:
            able = " and ".join(name for name in ALGORITHMS if ALGORITHMS[name].finds_fronts)
            raise UserError(
                f"search pareto {','.join(settings.pareto)}: {settings.algorithm} finds one "
                f"network, not a front; allowed with it are the algorithms {able}"
            )

    @abstractmethod
    def propose(self, iteration: int, history: History) -> Mapping[Architecture, str]:
        """Candidates of the next population.

        Args:
            iteration (int): which population, from 0.
            history (History): what was proposed and scored before.

        Returns:
            The origin of each architecture, such as ``"mutation"``; at most a population of them
            counts, the first ones.
        """


#: Search algorithms by name: one file each in ``spos/search/algorithms``, or a plug-in.
ALGORITHMS: Registry[type[Algorithm]] = Registry(
    "search algorithm", "spos.search.algorithms", "spos.algorithms"
)
