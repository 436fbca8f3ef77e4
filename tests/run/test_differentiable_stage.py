"""What the loss of theta counts its cost in, and who does not search by it."""

from __future__ import annotations

from typing import Any

import pytest
from torch import nn

from spos import CostTable, OneOf, Supernet, UserError
from spos.cost.part import Costs, Counter, Part, run
from spos.run.differentiable import choose_cost_unit
from spos.training.recipe import DifferentiableSettings


def times(nanoseconds: int) -> Counter:
    """Counts a latency: some nanoseconds a parameter."""

    def count(part: Part) -> tuple[Costs, Any]:
        network = part.network()
        parameters = sum(parameter.numel() for parameter in network.parameters())
        return (parameters * nanoseconds,), run(network, part.value)

    return Counter(("latency",), count)


def supernet() -> Supernet:
    # The cheapest network has 10 parameters and 9 x 64 multiply-adds.
    option = {str(k): nn.Conv2d(1, 1, k, padding=k // 2) for k in (3, 5)}
    return Supernet(nn.Sequential(OneOf(option)), (1, 8, 8))


@pytest.mark.parametrize(
    ("nanoseconds", "unit"), [(1000, 1e3), (10_000_000, 1e3), (999, 1.0), (1, 1.0)]
)
def test_a_latency_is_counted_in_microseconds_where_there_are_ten(nanoseconds, unit):
    table = CostTable(supernet(), counter=times(nanoseconds))
    assert choose_cost_unit(table, DifferentiableSettings(), "latency") == unit


def test_a_unit_that_leaves_no_logarithm_is_refused_with_the_nearest_valid_one():
    table = CostTable(supernet())
    assert choose_cost_unit(table, DifferentiableSettings(), "flops") == 1.0
    assert choose_cost_unit(table, DifferentiableSettings(unit=500.0), "flops") == 500.0
    with pytest.raises(UserError) as raised:
        choose_cost_unit(table, DifferentiableSettings(unit=576.0), "flops")
    assert str(raised.value) == (
        "differentiable.unit 576: the cheapest network has flops 576, and the logarithm of its "
        "cost must be above 0; nearest valid: 518.4"
    )
