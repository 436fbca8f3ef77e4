"""Bounds on costs."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spos import Constraint, CostTable, Supernet, UserError


@pytest.fixture(scope="module")
def table(supernet_of: Callable[[str], Supernet]) -> CostTable:
    return CostTable(supernet_of("small"))


@given(
    flops=st.floats(0, 2),
    params=st.floats(0, 2),
    least=st.floats(0, 2),
)
def test_many_costs_are_judged_as_each_is(table, flops, params, least):
    rows = table.space.sample_many(30, np.random.default_rng(0))
    costs = table.many(rows)
    middle = dict(zip(table.names, np.median(costs, axis=0).tolist(), strict=True))
    constraint = Constraint(
        maximum={"flops": flops * middle["flops"], "params": params * middle["params"]},
        minimum={"flops": min(flops, least) * middle["flops"]},
    )
    each = [constraint.satisfied(table.cost(row)) for row in rows.tolist()]
    assert constraint.satisfied_many(table, costs).tolist() == each


def test_a_bound_includes_its_value():
    constraint = Constraint(maximum={"flops": 10}, minimum={"flops": 10})
    assert [constraint.satisfied({"flops": value}) for value in (9, 10, 11)] == [False, True, False]


def test_without_bounds_everything_satisfies(table):
    constraint = Constraint()
    constraint.check(table)
    assert constraint.satisfied({"flops": 10**15})
    assert constraint.satisfied_many(table, table.many(np.zeros((3, 4), np.int64))).all()
    assert str(constraint) == "none"


def test_a_constraint_is_written_as_people_read_it():
    constraint = Constraint(maximum={"flops": 330e6}, minimum={"params": 2e6})
    assert str(constraint) == "flops <= 330.0M, params >= 2.000M"


def test_an_empty_constraint_is_refused():
    with pytest.raises(UserError, match=r"min flops 3\.000M is above max flops 2\.000M"):
        Constraint(maximum={"flops": 2e6}, minimum={"flops": 3e6})


@pytest.mark.parametrize("value", ["330M", None, True, [1], float("nan"), float("inf"), 10**400])
def test_a_bound_that_is_no_number_is_refused(value):
    for bounds in ({"maximum": {"flops": value}}, {"minimum": {"flops": value}}):
        with pytest.raises(UserError, match=r"imum of a constraint: flops .* must be a number"):
            Constraint(**bounds)
    with pytest.raises(UserError, match="maximum of a constraint 5: must be numbers by the names"):
        Constraint(5)


def test_bounds_out_of_reach_are_refused_with_the_reachable_range(table):
    least, largest = table.range()["flops"]
    Constraint(maximum={"flops": least}).check(table)
    Constraint(minimum={"flops": largest}).check(table)
    for constraint in (
        Constraint(maximum={"flops": least - 1}),
        Constraint(minimum={"flops": largest + 1}),
    ):
        with pytest.raises(UserError, match=rf"no network of this space.*\({least} to {largest}\)"):
            constraint.check(table)


def test_bounds_that_every_network_satisfies_are_said(table):
    least, largest = table.range()["flops"]
    assert Constraint({"flops": largest - 1}, {"flops": least + 1}).without_effect(table) == []
    high, low = Constraint({"flops": largest}, {"flops": least}).without_effect(table)
    assert high.startswith("max flops ")
    assert low.startswith("min flops ")
    assert " limits nothing: networks of this space have " in high


def test_a_range_of_times_is_in_no_nanoseconds():
    table = SimpleNamespace(range=lambda: {"latency": (3_368_833, 11_402_427)})
    with pytest.raises(UserError, match=r"max latency 1us: reachable are 3.369ms to 11.4ms$"):
        Constraint(maximum={"latency": 1000}).check(table)


def test_an_unknown_cost_is_refused_with_the_nearest(table):
    with pytest.raises(UserError, match="unknown cost 'flop': did you mean 'flops'"):
        Constraint(maximum={"flop": 1e6}).check(table)
