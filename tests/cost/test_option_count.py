"""How often options are taken, as a cost."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spos import Constraint, CostTable, Supernet, UserError
from spos.cost import OptionCount
from spos.search import Feasible


@pytest.fixture(scope="module")
def costs(supernet_of: Callable[[str], Supernet]) -> OptionCount:
    table = CostTable(supernet_of("strides"))
    return OptionCount(table, "reductions", {"0": ["stride2", "pool"], "1": ["stride2", "pool"]})


@given(data=st.data())
def test_a_count_is_beside_the_other_costs(costs, data):
    architecture = [data.draw(st.integers(0, n - 1)) for n in costs.space.option_counts]
    expected = sum(option > 0 for option in architecture)
    cost = costs.cost(architecture)
    assert cost["reductions"] == expected
    assert list(cost) == list(costs.names) == ["flops", "params", "reductions"]
    assert costs.many(np.array([architecture])).tolist() == [list(cost.values())]
    stages = costs.stages(architecture)
    assert {name: sum(stage[name] for stage in stages) for name in costs.names} == cost


def test_a_choice_that_two_stages_read_counts_once(supernet_of: Callable[[str], Supernet]):
    supernet = supernet_of("shared")
    costs = OptionCount(CostTable(supernet), "large", {"kernel": ["5"]})
    stages = costs.stages([2, 0])
    assert sum("kernel" in stage["choices"] for stage in stages) == 2
    assert [stage["large"] for stage in stages] == [1, 0, 0, 0]
    assert costs.cost([2, 0])["large"] == 1


def test_the_range_is_that_of_the_whole_space(costs):
    everything = costs.many(np.array(list(costs.space)))
    expected = zip(everything.min(axis=0).tolist(), everything.max(axis=0).tolist(), strict=True)
    assert costs.range() == dict(zip(costs.names, expected, strict=True))
    assert costs.range()["reductions"] == (0, 2)
    table = costs._costs
    always = OptionCount(table, "any", {"0": ["stride1", "stride2", "pool"]})
    assert always.range()["any"] == (1, 1)


def test_both_sides_are_bounded_beside_another_cost(costs):
    middle = sum(costs.range()["flops"]) / 2
    constraint = Constraint({"reductions": 1, "flops": middle}, {"reductions": 1})
    feasible = Feasible(costs.space, costs, constraint)
    found = feasible.draw(100, np.random.default_rng(0))
    expected = [
        a
        for a in costs.space
        if sum(option > 0 for option in a) == 1 and costs.cost(a)["flops"] <= middle
    ]
    assert expected and sorted(found) == sorted(expected)
    with pytest.raises(UserError, match="min reductions 3: reachable are 0 to 2"):
        Feasible(costs.space, costs, Constraint(minimum={"reductions": 3}))


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("flops", {}, "the cost 'flops' is counted already"),
        ("count", {"2": ["pool"]}, "this space has no choice '2'"),
        ("count", {"0": ["pol"]}, "no option 'pol': did you mean 'pool'"),
    ],
)
def test_what_cannot_be_counted_is_refused(costs, name, options, says):
    with pytest.raises(UserError, match=says):
        OptionCount(costs, name, options)
