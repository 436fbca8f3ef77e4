"""The mean cost, against the sum over all architectures."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from spos import CostTable, OneOf, Supernet, UserError
from spos.cost.combined import CombinedCosts
from spos.cost.cost import COSTS
from spos.cost.count import cost_counter
from spos.cost.expected import ExpectedCost
from spos.spaces.nasbench201 import PRESETS, nasbench201
from spos.spaces.plain import PRESETS as PLAIN
from spos.spaces.plain import plain, plain_costs

GetSupernet = Callable[[str], Supernet]
#: Enumerable spaces: with shared choices, nested ones, shapes that options decide, and one stage.
MODELS = ["small", "strides", "shared", "nested", "reused", "inplace", "pair", "residual", "widths"]


@pytest.fixture(scope="module")
def table_of(supernet_of: GetSupernet) -> Callable[[str], CostTable]:
    return cache(lambda name: CostTable(supernet_of(name)))


def drawn(table: CostTable, seed: int) -> list[Tensor]:
    random = np.random.default_rng(seed)
    return [torch.tensor(random.dirichlet(np.ones(n))) for n in table.space.option_counts]


def brute_force(table: CostTable, probabilities: list[Tensor], name: str) -> float:
    rows = np.array(list(table.space))
    likely = np.ones(len(rows))
    for place, column in enumerate(probabilities):
        likely *= column.detach().numpy()[rows[:, place]]
    return float(likely @ table.many(rows)[:, table.names.index(name)])


@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=5)
@given(seed=st.integers(0, 99), cost=st.sampled_from(["flops", "params"]))
def test_it_is_the_mean_over_all_architectures(table_of, name, seed, cost):
    table = table_of(name)
    probabilities = drawn(table, seed)
    expected = ExpectedCost(table, cost)(probabilities).item()
    assert expected == pytest.approx(brute_force(table, probabilities, cost), rel=1e-12)


@pytest.mark.parametrize("name", ["small", "strides", "shared"])
def test_of_certain_options_it_is_the_cost(table_of, name):
    table = table_of(name)
    expected = ExpectedCost(table, "flops")
    random = np.random.default_rng(0)
    for _ in range(5):
        architecture = table.space.sample(random)
        one_hot = [
            nn.functional.one_hot(torch.tensor(option), count).double()
            for option, count in zip(architecture, table.space.option_counts, strict=True)
        ]
        assert expected(one_hot).item() == table.cost(architecture)["flops"]


@pytest.mark.parametrize("name", ["small", "strides", "shared"])
def test_its_gradient_is_that_of_the_mean(table_of, name):
    table = table_of(name)
    expected = ExpectedCost(table, "flops")
    theta = [p.log().requires_grad_() for p in drawn(table, 1)]

    def mean(*values: Tensor) -> Tensor:
        return expected([torch.softmax(value, 0) for value in values]) / 1e4

    assert torch.autograd.gradcheck(mean, theta)


def test_many_choices_in_cells_are_added_up():
    table = CostTable(nasbench201(PRESETS["tiny"], classes=10, image_channels=1))
    probabilities = drawn(table, 3)
    expected = ExpectedCost(table, "flops")(probabilities).item()
    assert expected == pytest.approx(brute_force(table, probabilities, "flops"), rel=1e-12)


def test_of_combined_costs_the_table_of_the_cost_is_taken(table_of, supernet_of):
    table = table_of("small")
    memory = CostTable(supernet_of("small"), counter=cost_counter(COSTS["memory"]))
    combined = CombinedCosts([memory, table])
    probabilities = drawn(table, 0)
    assert torch.equal(
        ExpectedCost(combined, "params")(probabilities),
        ExpectedCost(table, "params")(probabilities),
    )
    with pytest.raises(UserError, match="'memory' is that of the costliest stage"):
        ExpectedCost(combined, "memory")
    with pytest.raises(UserError, match="unknown cost 'flop': did you mean 'flops'"):
        ExpectedCost(combined, "flop")


def test_a_count_of_options_has_no_mean_here():
    costs = plain_costs(plain(PLAIN["tiny"], classes=10, image_channels=1))
    with pytest.raises(UserError, match="'strides' is not known"):
        ExpectedCost(costs, "strides")


def test_an_option_that_decides_a_shape_and_is_read_again_is_refused(table_of):
    with pytest.raises(UserError, match="'width0' decides a shape and is read again behind it"):
        ExpectedCost(table_of("widths in sequence"), "flops")


def test_a_stage_that_is_not_a_sum_and_cannot_be_enumerated_is_refused(table_of):
    with pytest.raises(UserError, match="stage 1 reads 6 choices at once"):
        ExpectedCost(table_of("tied"), "params")


def test_choices_without_costs_change_nothing():
    model = nn.Sequential(
        OneOf({"relu": nn.ReLU(), "skip": nn.Identity()}), nn.Flatten(), nn.Linear(4, 2)
    )
    expected = ExpectedCost(CostTable(Supernet(model, (1, 2, 2))), "flops")
    assert expected([torch.tensor([0.3, 0.7])]).item() == pytest.approx(8)
