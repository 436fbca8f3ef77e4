"""Memory of activations and the size of weights, against what runs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from spos import CostTable, OneOf, Supernet
from spos._util.errors import UserError
from spos.cost import Constraint
from spos.cost.combined import CombinedCosts
from spos.cost.cost import COSTS
from spos.cost.count import cost_counter, count_peak_memory
from spos.cost.part import on_meta
from spos.spaces import SPACES, family

FLOAT = 4
MEMORY, SIZE = cost_counter(COSTS["memory"]), cost_counter(COSTS["model_bytes"])


def peak_memory(network: nn.Module, input_shape: tuple[int, ...]) -> int:
    return count_peak_memory(on_meta(network), torch.empty(1, *input_shape, device="meta"))[0]


def test_a_chain_holds_what_comes_in_and_what_goes_out():
    network = nn.Sequential(nn.Linear(10, 20), nn.ReLU(), nn.Linear(20, 5))
    assert peak_memory(network, (10,)) == (20 + 20) * FLOAT


def test_an_operation_in_place_takes_nothing():
    network = nn.Sequential(nn.Linear(10, 20), nn.ReLU(inplace=True), nn.Linear(20, 5))
    assert peak_memory(network, (10,)) == (10 + 20) * FLOAT


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.wide, self.narrow = nn.Linear(10, 30), nn.Linear(30, 10)

    def forward(self, inputs):
        return inputs + self.narrow(self.wide(inputs))


def test_a_residual_is_held_until_it_is_added():
    # The input, the wide one, and the narrow one made from it.
    assert peak_memory(Residual(), (10,)) == (10 + 30 + 10) * FLOAT


def test_a_module_that_is_not_a_graph_is_counted_as_it_runs():
    class Untraceable(nn.Module):
        def forward(self, inputs):
            return inputs * 2 if len(inputs) == 1 else inputs

    assert peak_memory(Untraceable(), (10,)) == 2 * 10 * FLOAT


def test_weights_and_statistics_are_not_counted():
    assert peak_memory(nn.BatchNorm2d(7), (7, 2, 2)) == 2 * 28 * FLOAT


@pytest.mark.parametrize("name", [name for name in SPACES if "tiny" in SPACES[name].presets])
def test_the_peak_of_a_network_is_that_of_its_costliest_stage(name: str):
    supernet = family(name).build(family(name).preset("tiny"), classes=10, image_channels=1)
    table = CostTable(supernet, eager=False, counter=MEMORY)
    rows = supernet.space.sample_many(2, np.random.default_rng(0))
    for row in rows:
        whole = peak_memory(supernet.subnet(row), supernet.input_shape)
        assert table.cost(row) == {"memory": whole}
        assert max(stage["memory"] for stage in table.stages(row)) == whole
    assert table.many(rows)[:, 0].tolist() == [table.cost(row)["memory"] for row in rows]


def two_layers() -> Supernet:
    def layer(inputs: int) -> OneOf:
        return OneOf(
            {str(n): nn.Sequential(nn.Linear(inputs, n), nn.Linear(n, 8)) for n in (4, 16)}
        )

    return Supernet(nn.Sequential(layer(8), layer(8)), (8,))


def test_the_range_of_a_peak():
    table = CostTable(two_layers(), counter=MEMORY)
    every = [table.cost([a, b])["memory"] for a in range(2) for b in range(2)]
    assert table.range() == {"memory": (min(every), max(every))}
    assert every == [(8 + 4) * FLOAT, (8 + 16) * FLOAT, (8 + 16) * FLOAT, (8 + 16) * FLOAT]


def test_model_bytes_are_those_of_all_parameters():
    supernet = two_layers()
    table = CostTable(supernet, counter=SIZE)
    parameters = sum(parameter.numel() for parameter in supernet.subnet([0, 1]).parameters())
    assert table.cost([0, 1]) == {"model_bytes": FLOAT * parameters}


def test_model_bytes_at_the_chosen_bits():
    supernet = family("resnet-bits").build(family("resnet-bits").preset("tiny"), classes=10)
    table = CombinedCosts(
        [
            CostTable(supernet, eager=False),
            CostTable(supernet, eager=False, counter=SIZE),
        ]
    )
    for option in range(min(supernet.space.option_counts)):
        costs = table.cost([option] * len(supernet.space))
        # Every stage is rounded up to whole bytes.
        assert 0 <= costs["model_bytes"] - costs["model_bits"] / 8 < len(supernet.stages)


def test_costs_side_by_side():
    supernet = two_layers()
    apart = [CostTable(supernet), CostTable(supernet, counter=MEMORY)]
    table = CombinedCosts(apart)
    assert table.names == ("flops", "params", "memory")
    assert table.range() == {**apart[0].range(), **apart[1].range()}
    rows = np.array([[0, 0], [0, 1], [1, 1]])
    assert (table.many(rows) == np.concatenate([t.many(rows) for t in apart], axis=1)).all()
    assert [set(stage) for stage in table.stages([0, 1])] == [
        {"name", "choices", "flops", "params", "memory"}
    ] * 2
    assert table.table_of("memory") is apart[1]
    within = Constraint(maximum={"memory": 50}).satisfied_many(table, table.many(rows))
    assert within.tolist() == [True, False, False]


def test_costs_that_do_not_fit_together_are_refused():
    supernet = two_layers()
    other = Supernet(nn.Sequential(OneOf({"a": nn.Linear(8, 8)})), (8,))
    with pytest.raises(UserError, match="counted twice"):
        CombinedCosts([CostTable(supernet), CostTable(supernet)])
    with pytest.raises(UserError, match="different search spaces"):
        CombinedCosts([CostTable(supernet), CostTable(other, counter=MEMORY)])
    with pytest.raises(UserError, match="unknown cost 'memry': did you mean 'memory'"):
        CombinedCosts([CostTable(supernet, counter=MEMORY)]).table_of("memry")


def test_the_peak_agrees_with_the_allocations_of_a_real_run():
    network = nn.Sequential(nn.Linear(16, 512, bias=False), nn.ReLU(), nn.Linear(512, 16))
    with torch.no_grad(), torch.profiler.profile(profile_memory=True) as profiled:
        inputs = torch.zeros(1, 16)
        network(inputs)
    now = allocated = 0
    for event in profiled.profiler.kineto_results.events():
        if event.name() == "[memory]":
            now += event.nbytes()
            allocated = max(allocated, now)
    # The caller holds the input to the end here.
    assert peak_memory(network, (16,)) + inputs.nbytes == allocated
