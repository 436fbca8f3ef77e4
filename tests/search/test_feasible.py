from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from spos import CostTable, OneOf, Supernet
from spos._util.errors import UserError
from spos.cost import Constraint
from spos.search import Feasible


# From 4 architectures to 5**12: both sides of the limit of enumeration.
@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(2, 5), min_size=2, max_size=12),
    st.sampled_from([0, 5, 50, 500]),
    st.integers(1, 60),
    st.integers(0, 1000),
)
def test_draws_are_feasible_distinct_and_repeatable(spaces, additive, counts, slack, count, seed):
    space = spaces(*counts)
    random = np.random.default_rng(seed)
    flops, params = ([random.integers(0, 100, c).tolist() for c in counts] for _ in range(2))
    table = additive(space, flops=flops, params=params)
    # Bounds around an architecture that exists, so that something is feasible.
    middle = table.cost(space.sample(random))
    constraint = Constraint(
        maximum={"flops": middle["flops"] + slack, "params": middle["params"] + slack},
        minimum={"flops": middle["flops"] - slack},
    )
    feasible = Feasible(space, table, constraint)
    drawn = feasible.draw(count, np.random.default_rng(seed))
    assert len(set(drawn)) == len(drawn) <= count
    assert all(constraint.satisfied(table.cost(architecture)) for architecture in drawn)
    assert feasible.satisfied(drawn) == [True] * len(drawn)
    again = Feasible(space, table, constraint)
    assert again.draw(count, np.random.default_rng(seed)) == drawn
    excluded = set(drawn)
    assert not excluded & set(feasible.draw(count, np.random.default_rng(seed), excluded))
    if feasible.count is not None:
        assert len(drawn) == min(count, feasible.count)


def test_small_space_is_exact(small):
    constraint = Constraint(maximum={"flops": 2})
    feasible = Feasible(small.space, small, constraint)
    expected = {a for a in small.space if sum(a) <= 2}
    assert feasible.count == len(expected) == 15
    assert set(feasible.draw(100, np.random.default_rng(0))) == expected


def test_choices_of_one_option_may_be_many():
    layers = [OneOf({"only": nn.Conv2d(1, 1, 1)}) for _ in range(70)]
    layers += [OneOf({"1": nn.Conv2d(1, 1, 1), "3": nn.Conv2d(1, 1, 3, padding=1)})]

    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(*layers)

        def forward(self, x):
            return self.layers(x)

    for model in (nn.Sequential(*layers), Whole()):
        table = CostTable(Supernet(model, (1, 4, 4)))
        largest = table.range()["flops"][1]
        assert Feasible(table.space, table, Constraint(maximum={"flops": largest - 1})).count == 1


@pytest.mark.parametrize("counts", [(3, 3), (2,) * 18])
def test_draws_are_uniform(counts, spaces, additive):
    # The second space is too large to be enumerated; the second choice must be its first option.
    space = spaces(*counts)
    free = [[0] * count for count in counts]
    table = additive(space, flops=[free[0], [0, 1, 1][: counts[1]], *free[2:]])
    feasible = Feasible(space, table, Constraint(maximum={"flops": 0}))
    random = np.random.default_rng(0)
    firsts = [feasible.draw(1, random)[0][0] for _ in range(900)]
    frequencies = np.bincount(firsts) / 900
    assert np.abs(frequencies - 1 / counts[0]).max() < 0.06


@pytest.mark.parametrize(
    ("maximum", "minimum", "solutions"),
    [({"flops": 0}, {}, 1), ({"flops": 1}, {}, 13), ({}, {"flops": 35}, 13)],
)
def test_tight_constraints_are_met_by_repair(tower, maximum, minimum, solutions):
    feasible = Feasible(tower.space, tower, Constraint(maximum, minimum))
    drawn = feasible.draw(50, np.random.default_rng(0))
    assert len(drawn) == solutions
    assert all(feasible.satisfied(drawn))


def test_two_tight_bounds_are_met_by_repair(tower):
    # Exactly one flop under any params: flops + params = 36 always, so both bounds meet in a point.
    feasible = Feasible(
        tower.space, tower, Constraint(maximum={"flops": 2}, minimum={"flops": 2, "params": 34})
    )
    assert len(feasible.draw(50, np.random.default_rng(0))) == 50


def test_bounds_that_exclude_each_other(tower, small):
    constraint = Constraint(maximum={"flops": 10, "params": 20})
    with pytest.raises(UserError) as raised:
        Feasible(tower.space, tower, constraint).draw(5, np.random.default_rng(0))
    message = str(raised.value)
    assert "\n" not in message
    for part in ("random draws", "exclude each other", "flops 0 to 36", "params 0 to 36"):
        assert part in message
    between = Constraint(maximum={"flops": 4.5}, minimum={"flops": 4.1})
    with pytest.raises(UserError, match=r"of the 81 was found that satisfies flops <= "):
        Feasible(small.space, small, between).draw(1, np.random.default_rng(0))


def test_bound_out_of_reach_and_unknown_cost(small):
    with pytest.raises(UserError, match="reachable are 0 to 8"):
        Feasible(small.space, small, Constraint(minimum={"flops": 9}))
    with pytest.raises(UserError, match="did you mean 'flops'"):
        Feasible(small.space, small, Constraint(maximum={"flop": 9}))


def test_bounds_that_are_no_constraint_are_refused(spaces, additive):
    space = spaces(2, 2)
    with pytest.raises(UserError, match=r"constraint of type dict: must be a spos\.Constraint"):
        Feasible(space, additive(space, flops=[[0, 1], [0, 1]]), {"flops": 1})


@pytest.mark.parametrize("bound", [5, 20])
def test_few_networks_are_tried_where_each_has_to_be_counted(bound, spaces, additive):
    space = spaces(*[5] * 10)
    table = additive(space, flops=[[0, 1, 2, 3, 4]] * 10)
    table.on_demand, counted, many = True, [], table.many
    table.many = lambda rows: counted.append(len(rows)) or many(rows)
    constraint = Constraint(maximum={"flops": bound})
    drawn = Feasible(space, table, constraint).draw(10, np.random.default_rng(0))
    assert len(set(drawn)) == 10
    assert all(constraint.satisfied(table.cost(architecture)) for architecture in drawn)
    assert sum(counted) < 10_000
