"""Architectures from a distribution, within a constraint."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spos import Constraint, UserError
from spos.search import Feasible
from spos.search.derive import Distribution
from spos.space import Architecture, Choice, SearchSpace


class Sums:
    """A cost that is a sum over the choices."""

    names = ("flops",)

    def __init__(self, columns: Sequence[Sequence[int]]) -> None:
        self.space = SearchSpace(
            Choice(f"c{n}", tuple(f"o{k}" for k in range(len(column))))
            for n, column in enumerate(columns)
        )
        self._columns = [np.array(column) for column in columns]

    def many(self, rows: Any) -> Any:
        return sum(column[rows[:, n]] for n, column in enumerate(self._columns))[:, None]

    def cost(self, architecture: Any) -> dict[str, int]:
        return {"flops": int(self.many(np.array([architecture]))[0, 0])}

    def stages(self, architecture: Any) -> list[dict[str, Any]]:
        return []

    def range(self) -> dict[str, tuple[int, int]]:
        return {
            "flops": (
                sum(int(column.min()) for column in self._columns),
                sum(int(column.max()) for column in self._columns),
            )
        }


def make(
    counts: Sequence[int], share: float, seed: int, skew: float = 0.5
) -> tuple[Feasible, Distribution, list[Any]]:
    """Random costs and probabilities, and a bound at a share of the range."""
    random = np.random.default_rng(seed)
    table = Sums([random.integers(1, 100, count).tolist() for count in counts])
    least, largest = table.range()["flops"]
    bound = least + share * (largest - least)
    feasible = Feasible(table.space, table, Constraint({"flops": bound}))
    probabilities = [random.dirichlet(np.full(count, skew)) for count in counts]
    return feasible, Distribution(feasible, probabilities), probabilities


@settings(max_examples=25)
@given(
    counts=st.lists(st.integers(1, 5), min_size=2, max_size=5),
    share=st.floats(0.05, 1),
    seed=st.integers(0, 99),
)
def test_of_a_small_space_it_is_the_most_probable_feasible_one(counts, share, seed):
    feasible, distribution, _ = make(counts, share, seed)
    found = distribution.most_probable()
    rows = np.array(list(feasible.space))
    within = rows[np.array(feasible.satisfied([Architecture(row) for row in rows.tolist()]))]
    best = distribution.log_probability(within).max()
    assert feasible.satisfied([found]) == [True]
    assert distribution.log_probability(np.array([found]))[0] == pytest.approx(best)


# In the last one, two options have to be changed at once.
@pytest.mark.parametrize(("share", "seed"), [(0.3, 0), (0.3, 1), (0.3, 2), (0.5, 9)])
def test_of_a_large_space_it_is_feasible_and_as_probable_as_the_knapsack_allows(share, seed):
    counts = [6] * 12
    feasible, distribution, probabilities = make(counts, share, seed)
    assert feasible.count is None
    found = distribution.most_probable()
    assert found == distribution.most_probable()
    assert feasible.satisfied([found]) == [True]
    # The exact best for every total cost, choice by choice.
    bound = int(feasible.constraint.maximum["flops"])
    best = np.full(bound + 1, -np.inf)
    best[0] = 0.0
    for place, column in enumerate(probabilities):
        after = np.full(bound + 1, -np.inf)
        for option, probability in enumerate(column):
            cost = int(feasible.table._columns[place][option])
            moved = best[: bound + 1 - cost] + np.log(probability)
            after[cost:] = np.maximum(after[cost:], moved)
        best = after
    reached = distribution.log_probability(np.array([found]))[0]
    assert reached <= best.max() + 1e-9
    assert reached > best.max() - 0.7
    # No change of one option or two improves it.
    for places in combinations(range(12), 2):
        changed = np.repeat([found], 36, axis=0)
        changed[:, places] = list(product(range(6), repeat=2))
        near = changed[feasible.within(changed)]
        assert distribution.log_probability(near).max() <= reached + 1e-9


def test_without_a_bound_it_is_the_argmax_of_each_choice():
    _, distribution, probabilities = make([4, 3, 5], 1.0, 7)
    assert distribution.most_probable() == tuple(int(p.argmax()) for p in probabilities)


def test_samples_are_feasible_different_and_a_function_of_the_seed():
    feasible, distribution, _ = make([6] * 12, 0.6, 1)
    drawn = distribution.sample(30, np.random.default_rng(5))
    assert len(set(drawn)) == 30
    assert all(feasible.satisfied(drawn))
    assert drawn == distribution.sample(30, np.random.default_rng(5))
    assert drawn != distribution.sample(30, np.random.default_rng(6))


def test_samples_follow_the_distribution():
    _, distribution, probabilities = make([6] * 12, 1.0, 2, skew=5.0)
    drawn = np.array(distribution.sample(2000, np.random.default_rng(0)))
    for place, column in enumerate(probabilities):
        seen = np.bincount(drawn[:, place], minlength=6) / len(drawn)
        assert np.abs(seen - column).max() < 0.05


def test_where_the_distribution_never_meets_the_bound_it_is_topped_up():
    random = np.random.default_rng(0)
    table = Sums([[1, 100]] * 20)
    feasible = Feasible(table.space, table, Constraint({"flops": 20 + 3 * 99}))
    distribution = Distribution(feasible, [np.array([1e-12, 1 - 1e-12])] * 20)
    drawn = distribution.sample(10, random)
    assert len(set(drawn)) == 10
    assert all(feasible.satisfied(drawn))
    # As many of the probable options as the bound allows.
    assert sum(drawn[0]) == 3


def test_options_without_effect_make_no_further_networks():
    table = Sums([[1, 1]] * 5)
    # The other choices are inside of the second option of the first one.
    table.space = SearchSpace(table.space.choices, [[[]], *[[[(0, 1)]]] * 4])
    distribution = Distribution(
        Feasible(table.space, table, Constraint()), [np.array([0.9, 0.1]), *[np.ones(2) / 2] * 4]
    )
    drawn = distribution.sample(12, np.random.default_rng(0))
    assert len({table.space.canonical(one) for one in drawn}) == len(drawn) == 12


def test_fewer_are_drawn_where_there_are_no_more():
    table = Sums([[1, 5], [1, 5]])
    feasible = Feasible(table.space, table, Constraint({"flops": 6}))
    distribution = Distribution(feasible, [np.array([0.5, 0.5])] * 2)
    drawn = distribution.sample(10, np.random.default_rng(0))
    assert sorted(drawn) == [(0, 0), (0, 1), (1, 0)]


def test_a_constraint_that_nothing_satisfies_is_refused():
    table = Sums([[1, 5], [1, 5]])
    feasible = Feasible(table.space, table, Constraint({"flops": 4}, {"flops": 3}))
    distribution = Distribution(feasible, [np.array([0.5, 0.5])] * 2)
    with pytest.raises(UserError, match="no architecture of the 4 was found"):
        distribution.most_probable()
