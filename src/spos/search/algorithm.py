"""Search algorithms: their base class and their registry."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
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
    """Option probabilities that the training of a supernet learned in addition to its weights.

    Args:
        probabilities (tuple[NDArray, ...]): probabilities of the options of each choice, shape
            (options,).
        samples (int): number of architectures to score, at least 1; 1 for the most probable one.
    """

    probabilities: tuple[NDArray[Any], ...]
    samples: int = 1


class Algorithm(ABC):
    """Base class of search algorithms, which propose populations from the scores so far.

    Proposals must depend only on the arguments, and randomness must derive from the seed and the
    iteration (:func:`spos._util.randomness.generator`), so that a search that was killed resumes
    exactly. The search drops proposals that are not feasible or were proposed before, and fills the
    population with random candidates.

    Args:
        feasible (Feasible): architectures within the constraint.
        settings (SearchSettings): settings of the search.
        prior (Prior | None): option probabilities from the training of the supernet; None if it
            learned none.

    Example:
        >>> class Halves(Algorithm):
        ...     label = "Halves"
        ...     def propose(self, iteration, history):
        ...         best = history.best(1)
        ...         return {Architecture(option // 2 for option in one): "half" for one in best}
        >>> ALGORITHMS.register("halves")(Halves).fills
        True
    """

    #: Name of the algorithm in reports and tables; that of the class unless it is given.
    label: ClassVar[str]
    #: The training method that the supernet needs; None for any method that trains single paths.
    method: ClassVar[str | None] = None
    #: Whether a finished search can be continued with more iterations.
    continues: ClassVar[bool] = True
    #: Whether the algorithm can search for several budgets with one supernet.
    serves_budgets: ClassVar[bool] = True
    #: Whether the algorithm can search for a front of the score and costs.
    finds_fronts: ClassVar[bool] = False
    #: Whether random candidates fill the places that the proposals leave.
    fills: ClassVar[bool] = True
    #: Settings of a search that the algorithm does not use, which a run then says.
    unused: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **given: Any) -> None:
        super().__init_subclass__(**given)
        if not hasattr(cls, "label"):
            # Reports ask for it only after the search.
            cls.label = cls.__name__

    def __init__(
        self, feasible: Feasible, settings: SearchSettings, prior: Prior | None = None
    ) -> None:
        self.check(settings)
        self.feasible = feasible
        self.settings = settings
        self.prior = prior

    @property
    def population(self) -> int:
        """Number of candidates per iteration."""
        return self.settings.population

    @property
    def iterations(self) -> int:
        """Number of iterations of the search."""
        return self.settings.iterations

    @classmethod
    def check(cls, settings: SearchSettings) -> None:
        """Check that the settings suit the algorithm.

        Args:
            settings (SearchSettings): settings of the search.

        Raises:
            UserError: a setting does not suit the algorithm.
        """
        if settings.pareto and not cls.finds_fronts:
            able = " and ".join(name for name in ALGORITHMS if ALGORITHMS[name].finds_fronts)
            raise UserError(
                f"search.pareto {','.join(settings.pareto)}: {settings.algorithm} finds one "
                f"network, not a front; allowed with it are the algorithms {able}"
            )
        if settings.racing and cls.method is not None:
            raise UserError(
                f"search.racing {settings.racing}: {settings.algorithm} has no populations, of "
                "which the later ones race against the best so far; leave the setting out"
            )

    def _best_known(self, history: History) -> Mapping[Architecture, str]:
        """A first population of the best known candidates, unless it may have none."""
        known = history.known_feasible() if self.settings.from_known else []
        known.sort(key=lambda one: -history.known[one])
        return dict.fromkeys(known[: self.population], "known")

    def _breed(
        self,
        children: dict[Architecture, str],
        count: int,
        origin: str,
        history: History,
        child: Callable[[], Architecture],
    ) -> None:
        """Add up to ``count`` children that are new and feasible, in a limited number of tries."""
        wanted, seen = len(children) + count, history.seen
        # Another name of a known network is no new child.
        canonical = self.feasible.space.canonical
        for _ in range(self.settings.tries):
            if len(children) == wanted:
                break
            drawn = [canonical(child()) for _ in range(wanted - len(children))]
            for new, within in zip(drawn, self.feasible.satisfied(drawn), strict=True):
                if within and new not in seen:
                    children.setdefault(new, origin)

    @abstractmethod
    def propose(self, iteration: int, history: History) -> Mapping[Architecture, str]:
        """Propose the candidates of the next population.

        Args:
            iteration (int): number of the population, from 0.
            history (History): proposals so far, and their scores.

        Returns:
            Origin, such as ``"mutation"``, by architecture; only the first ones are used if there
            are more than a population.
        """


def refuse_children(settings: SearchSettings, instead: str) -> None:
    """Check that the settings leave the numbers of children to the algorithm.

    Args:
        settings (SearchSettings): settings of the search.
        instead (str): what the algorithm does.

    Raises:
        UserError: a number of children is given.
    """
    for name in ("crossover_children", "mutation_children"):
        if getattr(settings, name) is not None:
            raise UserError(
                f"search.{name}: {settings.algorithm} {instead}; leave it out, or give the "
                "algorithm evolution"
            )


#: Settings of a search that only algorithms use which breed candidates from others.
OF_BREEDING = ("mutation", "crossover_children", "mutation_children", "tries", "from_known")
#: Search algorithms by name: one file each in ``spos/search/algorithms``, or a plug-in.
ALGORITHMS: Registry[type[Algorithm]] = Registry(
    "search algorithm", "spos.search.algorithms", "spos.algorithms"
)
