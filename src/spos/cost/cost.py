"""What a cost is called, counted in and counted with: everything else derives from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, Literal

from spos._util.registry import Registry
from spos.cost.units import COUNT, Unit

if TYPE_CHECKING:
    from torch import nn

    from spos.cost.part import Costs, Part

#: Called with a network without choices on the meta device, which is a stage of an architecture,
#: and its input for one image; gives the cost as a whole number, and the output.
Count = Callable[["nn.Module", Any], tuple[int, Any]]


@dataclass(frozen=True)
class Cost:
    """A cost of architectures: what can be bounded, minimised, charged and reported.

    Flags, settings, tables, axes and model cards take their words from here.

    Args:
        name (str): in settings, flags and results, such as ``"params"``.
        label (str): heading of its values, such as ``"parameters"``; the name without it.
        noun (str): what follows a value in a sentence, such as ``"multiply-adds"``; the label
            without it.
        title (str): title of an axis and row of a model card, which may say more than the label;
            the label without it.
        heading (str): short heading for narrow tables; the name without it.
        help (str): what follows "At most N" in the help of its flag; the noun without it.
        unit (Unit): what its values are counted in.
        counter (Count | str | None): how a stage is counted, as a function or as its place,
            ``"module:function"``, which is imported when it is first needed. None for a cost that
            comes with the table of a space or with a file of measurements.
        aggregation (str): ``"sum"`` where an architecture costs all its stages together, ``"peak"``
            where it costs what the costliest stage does.

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
    aggregation: Literal["sum", "peak"] = "sum"

    def __post_init__(self) -> None:
        for field, source in (
            ("label", "name"),
            ("heading", "name"),
            ("noun", "label"),
            ("title", "label"),
            ("help", "noun"),
        ):
            if not getattr(self, field):
                object.__setattr__(self, field, getattr(self, source))

    def parse(self, text: str | float, what: str = "quantity") -> float:
        """Read a value, see :meth:`spos.cost.units.Unit.parse`."""
        return self.unit.parse(text, what)

    def format(self, value: float) -> str:
        """Write a value with its unit and four figures."""
        return self.unit.format(value)

    def exact(self, value: float) -> str:
        """Write a value with four figures and, of a cost that is counted, all its digits.

        Example:
            >>> find_cost("params").exact(3558464), find_cost("latency").exact(4250000)
            ('3.558M (3,558,464)', '4.25ms')
        """
        return self.format(value) + ("" if self.unit.symbol else f" ({value:,})")


#: Every cost with a descriptor. To add one, register it: see :func:`register_cost`.
COSTS: Registry[Cost] = Registry("cost", "spos.cost.costs", "spos.costs", separator="_")


def register_cost(cost: Cost) -> Cost:
    """Make a cost known, so that it can be bounded, minimised, charged and reported by its name.

    Args:
        cost (Cost): of a new name; the same name again replaces what was registered.
    """
    return COSTS.register(cost.name)(cost)


def find_cost(name: str) -> Cost:
    """The descriptor of a cost; a plain one, a count by its own name, where none is registered.

    Args:
        name (str): of the cost.

    Example:
        >>> find_cost("flops").noun, find_cost("skips").noun
        ('multiply-adds', 'skips')
    """
    return COSTS.get(name) or Cost(name)


def format_cost(name: str, value: float) -> str:
    """Write a value of a cost with its unit and four figures.

    Args:
        name (str): of the cost.
        value (float): in the unit of the cost, times in nanoseconds.

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
    """The cost that a search is about.

    Random networks are compared at about the winner's value of it, and candidates are drawn over
    it. It is the first cost with an upper bound (with budgets, their cost), else the first with a
    lower bound, else the first that a front is searched over, else the one that a differentiable
    search charges, else multiply-adds.

    Args:
        maximum (Iterable[str]): costs with an upper bound, in the order given.
        minimum (Iterable[str]): costs with a lower bound.
        pareto (Iterable[str]): costs that the search minimises beside the error.
        charged (str | None): cost in the loss of a differentiable search.

    Example:
        >>> primary_cost(pareto=["latency", "params"]), primary_cost()
        ('latency', 'flops')
    """
    return next(iter((*maximum, *minimum, *pareto, *filter(None, [charged]), "flops")))


class CountedCost:
    """Counts one registered cost for a :class:`spos.cost.CostTable`.

    Args:
        cost (Cost): with a counter.
    """

    def __init__(self, cost: Cost) -> None:
        counter = cost.counter
        assert counter is not None
        self.names = (cost.name,)
        self.peak = cost.aggregation == "peak"
        self._count: Count = resolve_name(counter) if isinstance(counter, str) else counter

    def __call__(self, part: Part) -> tuple[Costs, Any]:
        value, output = self._count(part.network(), part.value)
        return (value,), output
