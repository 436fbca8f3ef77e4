"""Descriptors of costs: their names, units and counters."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from spos._util.errors import UserError, nearest
from spos._util.registry import Registry
from spos.cost.units import COUNT, Unit

if TYPE_CHECKING:
    from torch import nn

#: Counts one stage: called with a network without choices on the meta device and its input for one
#: image, returns the cost as an integer and the output of the network.
Count = Callable[["nn.Module", Any], tuple[int, Any]]

#: How the costs of stages become that of an architecture.
Aggregation = Literal["sum", "peak"]


@dataclass(frozen=True)
class Cost:
    """A cost of architectures, which can be bounded, minimised, penalised and reported.

    Flags, settings, tables, axes and model cards take their wording from it.

    Args:
        name (str): name in settings, flags and results, such as ``"params"``.
        label (str): heading of its values, such as ``"parameters"``; defaults to the name.
        noun (str): noun after a value in a sentence, such as ``"multiply-adds"``; defaults to the
            label.
        title (str): longer heading for axes and model cards; defaults to the label.
        heading (str): short heading for narrow tables; defaults to the name.
        help (str): text after "At most N" in the help of its flag; defaults to the noun.
        unit (Unit): unit of its values.
        counter (Count | str | None): function that counts a stage, or its import path
            ``"module:function"``, which is resolved on first use. None for a cost that comes from
            the cost model of a space or from a file of measurements.
        aggregation (str): ``"sum"`` if the cost of an architecture is the sum over its stages,
            ``"peak"`` if it is the largest value of a stage.

    Raises:
        UserError: there is no such aggregation, or the counter is neither a function nor a path.

    Example:
        >>> from spos.cost.units import TIME
        >>> Cost("latency", unit=TIME).format(4250000)
        '4.25ms'
    """

    name: str
    label: str = ""
    noun: str = ""
    title: str = ""
    heading: str = ""
    help: str = ""
    unit: Unit = COUNT
    counter: Count | str | None = None
    aggregation: Aggregation = "sum"

    def __post_init__(self) -> None:
        if self.aggregation not in get_args(Aggregation):
            allowed = nearest(self.aggregation, get_args(Aggregation))
            raise UserError(f"aggregation '{self.aggregation}' of the cost {self.name}: {allowed}")
        if not (self.counter is None or isinstance(self.counter, str) or callable(self.counter)):
            raise UserError(
                f"the counter of the cost {self.name} is {self.counter!r:.50}: must be a function "
                "of a network and its input"
            )
        for pair in ("label name", "heading name", "noun label", "title label", "help noun"):
            field, source = pair.split()
            if not getattr(self, field):
                object.__setattr__(self, field, getattr(self, source))

    def parse(self, text: str | float, what: str = "quantity") -> float:
        """Parse a value.

        Args:
            text (str | float): quantity such as ``"330M"``; numbers are in the smallest unit.
            what (str): name of the quantity in an error.

        Returns:
            The value in the smallest unit, above 0.

        Raises:
            UserError: the text is not a positive quantity of the unit.
        """
        return self.unit.parse(text, what)

    def format(self, value: float) -> str:
        """Format a value with its unit and four significant digits.

        Args:
            value (float): value in the smallest unit.
        """
        return self.unit.format(value)

    def exact(self, value: float) -> str:
        """Format a value with four significant digits; counts are followed by all digits.

        Args:
            value (float): value in the smallest unit.

        Example:
            >>> find_cost("params").exact(3558464), find_cost("latency").exact(4250000)
            ('3.558M (3,558,464)', '4.25ms')
        """
        return self.format(value) + ("" if self.unit.symbol else f" ({value:,})")


#: Registered costs by name; :func:`register_cost` adds one.
COSTS: Registry[Cost] = Registry("cost", "spos.cost.costs", "spos.costs", separator="_")


def register_cost(cost: Cost) -> Cost:
    """Register a cost, so that it can be bounded, minimised, penalised and reported by its name.

    Args:
        cost (Cost): descriptor of the cost; it replaces a registered cost of the same name.

    Returns:
        The cost.

    Example:
        >>> layers = register_cost(Cost("layers", label="number of layers"))
        >>> find_cost("layers") is layers
        True
        >>> del COSTS["layers"]
    """
    return COSTS.register(cost.name)(cost)


def find_cost(name: str) -> Cost:
    """Return the descriptor of a cost.

    A cost that is not registered gets a default descriptor: a count labelled by its name.

    Args:
        name (str): name of the cost.

    Example:
        >>> find_cost("flops").noun, find_cost("skips").noun
        ('multiply-adds', 'skips')
    """
    return COSTS.get(name) or Cost(name)


def format_cost(name: str, value: float) -> str:
    """Format a value of a cost with its unit and four significant digits.

    Args:
        name (str): name of the cost.
        value (float): value in the smallest unit of the cost; times in nanoseconds.

    Example:
        >>> format_cost("latency", 4250000), format_cost("memory", 73728), format_cost("flops", 1e6)
        ('4.25ms', '73.73KB', '1.000M')
    """
    return find_cost(name).format(value)


def primary_cost(
    maximum: Iterable[str] = (),
    minimum: Iterable[str] = (),
    pareto: Iterable[str] = (),
    charged: str | None = None,
) -> str:
    """Return the name of the primary cost of a search.

    The comparison uses random networks of about the winner's primary cost, and plots use it as an
    axis. It is the first cost with an upper bound (with budgets, their cost), else the first with a
    lower bound, else the first objective of a front, else the cost in the loss of a differentiable
    search, else multiply-adds.

    Args:
        maximum (Iterable[str]): costs with an upper bound, in the order given.
        minimum (Iterable[str]): costs with a lower bound, in the order given.
        pareto (Iterable[str]): costs that the search minimises together with the error.
        charged (str | None): cost in the loss of a differentiable search.

    Example:
        >>> primary_cost(pareto=["latency", "params"]), primary_cost()
        ('latency', 'flops')
    """
    return next(iter((*maximum, *minimum, *pareto, *filter(None, [charged]), "flops")))
