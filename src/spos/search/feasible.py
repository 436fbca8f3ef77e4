"""The architectures that satisfy a constraint, and the repair of those that do not."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spos._util.errors import UserError, check_kind
from spos._util.randomness import generator
from spos.cost import Constraint, CostModel
from spos.cost.cost import format_cost
from spos.space import Architecture, SearchSpace

#: Number of consecutive repairs without a new architecture after which a draw gives up.
FRUITLESS_REPAIRS = 4


class Effort(NamedTuple):
    """How many architectures are tried.

    Args:
        enumerated (int): largest size of a space that is enumerated, so that no feasible
            architecture is missed.
        probed (int): number of random architectures that estimate the share of feasible ones.
        least_rate (float): least share of which architectures are drawn at random.
        drawn (int): number of random architectures that are drawn at a time, beside those that the
            share asks for.
        chunk (int): largest number of random architectures that are drawn at a time.
        rows (int): number of random architectures that are repaired at the same time.
    """

    enumerated: int
    probed: int
    least_rate: float
    drawn: int
    chunk: int
    rows: int


#: Where costs are sums, a million of them in seconds; and where each network is counted.
TABULATED = Effort(200_000, 100_000, 1e-4, 256, 2**18, 512)
ON_DEMAND = Effort(1_000, 1_000, 1e-2, 16, 2**9, 16)


class Feasible:
    """The set of architectures of a space that satisfy a constraint.

    Small spaces are enumerated. Larger spaces are sampled by rejection, so that all feasible
    architectures are equally likely. If fewer than one draw in 10,000 is feasible, random
    architectures are repaired instead, that is, changed until they satisfy the bounds. Where every
    network has to be counted (:attr:`spos.cost.CostTable.on_demand`), fewer are tried.

    Args:
        space (SearchSpace): search space.
        table (CostModel): costs of the architectures.
        constraint (Constraint): bounds of the costs.

    Raises:
        UserError: a bounded cost is unknown, or a bound is out of reach.

    Example:
        >>> from spos.cost import CostTable
        >>> from spos.spaces.shufflenetv2 import PRESETS, shufflenetv2
        >>> table = CostTable(shufflenetv2(PRESETS["tiny"], classes=10, image_channels=1))
        >>> least, largest = table.range()["flops"]
        >>> constraint = Constraint(maximum={"flops": (least + largest) / 2})
        >>> feasible = Feasible(table.space, table, constraint)
        >>> drawn = feasible.draw(10, np.random.default_rng(0))
        >>> len(drawn), all(constraint.satisfied(table.cost(one)) for one in drawn)
        (10, True)
    """

    def __init__(self, space: SearchSpace, table: CostModel, constraint: Constraint) -> None:
        check_kind(constraint, Constraint, "constraint", "a spos.Constraint of upper bounds")
        constraint.check(table)
        self.space = space
        self.table = table
        self.constraint = constraint
        #: All of them; None if the space is too large to enumerate.
        self.all: NDArray[Any] | None = None
        self._effort = ON_DEMAND if getattr(table, "on_demand", False) else TABULATED
        if space.size <= self._effort.enumerated:
            # Not as positions in an array, which has at most 64 dimensions.
            rest, columns = np.arange(space.size), []
            for count in reversed(space.option_counts):
                rest, column = np.divmod(rest, count)
                columns.append(column)
            rows = np.stack(columns[::-1], axis=1)
            self.all = rows[self.within(rows)]
        else:
            rows = space.sample_many(self._effort.probed, generator(0, "feasible"))
            rate = float(self.within(rows).mean())
            self._rate = rate if rate >= self._effort.least_rate else 0.0

    @property
    def count(self) -> int | None:
        """Number of feasible architectures; None if the space is too large to enumerate."""
        return None if self.all is None else len(self.all)

    def satisfied(self, architectures: Sequence[Architecture]) -> list[bool]:
        """Check which architectures satisfy the constraint.

        Args:
            architectures (Sequence[Architecture]): architectures of the space.
        """
        if not architectures:
            return []
        return list(map(bool, self.within(np.array(architectures, dtype=np.int64))))

    def draw(
        self,
        count: int,
        random: np.random.Generator,
        excluded: Collection[Architecture] = frozenset(),
    ) -> list[Architecture]:
        """Draw distinct feasible architectures.

        Args:
            count (int): number of architectures.
            random (np.random.Generator): source of randomness; the draw depends only on it and the
                arguments.
            excluded (Collection[Architecture]): architectures that are not drawn.

        Returns:
            ``count`` architectures; fewer if no more are found in a bounded number of draws, which
            in a space that is enumerated means that no more exist.

        Raises:
            UserError: no architecture is found although none is excluded.
        """
        found: dict[Architecture, None] = {}
        tried = {"random draws": 0, "repairs": 0}
        for rows in self._batches(count, random, found, tried) if count > 0 else ():
            for row in rows.tolist():
                architecture = Architecture(row)
                if architecture not in excluded:
                    found[architecture] = None
                    if len(found) == count:
                        return list(found)
        if count > 0 and not found and not excluded:
            attempts = ""
            if self.all is None:
                draws = self._effort.probed + tried["random draws"]
                attempts = f" in {draws:,} random draws and {tried['repairs']:,} repairs"
            reachable = ", ".join(
                f"{name} {format_cost(name, least)} to {format_cost(name, largest)}"
                for name, (least, largest) in self.table.range().items()
            )
            raise UserError(
                f"no architecture of the {self.space.size:,} was found that satisfies "
                f"{self.constraint}{attempts}: reachable, one cost at a time, are {reachable}; "
                "bounds may exclude each other, widen one of them"
            )
        return list(found)

    def within(self, rows: NDArray[Any]) -> NDArray[np.bool_]:
        """Check which architectures satisfy the constraint.

        Args:
            rows (NDArray): option indices, shape (count, number of choices).

        Returns:
            Shape (count,).
        """
        return self.constraint.satisfied_many(self.table, self.table.many(rows))

    def _batches(
        self,
        count: int,
        random: np.random.Generator,
        found: Mapping[Architecture, None],
        tried: dict[str, int],
    ) -> Iterator[NDArray[Any]]:
        """Yield rows within the constraint, until the search for more of them is given up."""
        if self.all is not None:
            order = random.permutation(len(self.all))
            for start in range(0, len(order), 1024):
                yield self.all[order[start : start + 1024]]
            return
        while self._rate and tried["random draws"] < 16 * count / self._rate:
            wanted = 1.1 * (count - len(found)) / self._rate
            size = int(min(self._effort.chunk, self._effort.drawn + wanted))
            rows = self.space.sample_many(size, random)
            tried["random draws"] += len(rows)
            yield rows[self.within(rows)]
        fruitless = 0
        while fruitless < FRUITLESS_REPAIRS:
            before = len(found)
            tried["repairs"] += self._effort.rows
            yield self._repaired(random)
            fruitless = fruitless + 1 if len(found) == before else 0

    def _repaired(self, random: np.random.Generator) -> NDArray[Any]:
        """Change random architectures, one or two options at a time, until they are feasible.

        A change is kept unless it increases the violation. At most four times the number of options
        of the space are tried on each architecture.

        Returns:
            Feasible ones among some architectures, possibly with duplicates.
        """
        space = self.space
        rows = space.sample_many(self._effort.rows, random)
        outside = self._violation(rows)
        for _ in range(4 * sum(space.option_counts)):
            open_rows = np.flatnonzero(outside)
            if len(open_rows) == 0:
                break
            changed = rows[open_rows]
            # A second change escapes from dead ends of two bounds: it raises one cost, and lowers
            # the other.
            for probability in (1.0, 0.5):
                position = random.integers(len(space), size=len(changed))
                option = random.integers(np.array(space.option_counts)[position])
                where = np.flatnonzero(random.random(len(changed)) < probability)
                changed[where, position[where]] = option[where]
            distance = self._violation(changed)
            accepted = distance <= outside[open_rows]
            rows[open_rows[accepted]] = changed[accepted]
            outside[open_rows[accepted]] = distance[accepted]
        return np.asarray(rows[outside == 0])

    def _violation(self, rows: NDArray[Any]) -> NDArray[np.float64]:
        costs = self.table.many(rows)
        total = np.zeros(len(rows))
        for name, bound, sign in self.constraint.bounds:
            excess = sign * (costs[:, self.table.names.index(name)] - bound)
            total += np.maximum(excess, 0.0) / max(abs(bound), 1.0)
        return total
