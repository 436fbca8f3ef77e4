"""Stages of many choices that change what others cost, against a count of each network."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from spos import CostTable, OneOf, Supernet
from spos.cost import count_network
from spos.cost.cost import find_cost
from spos.cost.count import cost_counter
from spos.cost.expected import ExpectedCost
from spos.nn import ElasticConv2d, ElasticLinear, Width


class Widths(nn.Module):
    """A model that is no sequence, as most are: layers that read the widths before and behind."""

    def __init__(self, layers: int, inside: bool) -> None:
        super().__init__()
        widths = [Width([2, 3, 5], name=f"width{number}") for number in range(layers)]
        self.stem = ElasticConv2d(3, widths[0], 1)
        self.blocks = nn.ModuleList()
        for before, width in pairwise(widths):
            options: dict[str, nn.Module] = {
                f"{k}x{k}": ElasticConv2d(before, width, k, padding=k // 2) for k in (1, 3)
            }
            if inside:
                hidden = Width([2, 4], name=f"{width.choice_name}.hidden")
                options["deep"] = nn.Sequential(
                    ElasticConv2d(before, hidden, 1), ElasticConv2d(hidden, width, 3, padding=1)
                )
            self.blocks.append(OneOf(options))
        self.head = ElasticLinear(widths[-1], 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean((2, 3)))


class Pairs(nn.Module):
    """Pairs of layers with small convolutions in common, and a large one that all have."""

    def __init__(self) -> None:
        super().__init__()
        large = nn.Conv2d(3, 3, 3, padding=1)
        self.layers = nn.ModuleList()
        for _ in range(6):
            small = {name: nn.Conv2d(3, 3, 1) for name in "ab"}
            self.layers.extend(OneOf({"large": large, **small}) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


class Deep(nn.Module):
    """A choice inside of an option of one inside of an option of another, and layers behind."""

    def __init__(self, innermost: dict[str, nn.Module]) -> None:
        super().__init__()
        layer = OneOf(innermost, "level3")
        for level in (2, 1):
            large = {f"large{n}": nn.Conv2d(3, 3, 3, padding=1) for n in range(3)}
            layer = OneOf({"skip": nn.Identity(), "deep": layer, **large}, f"level{level}")
        self.deep = layer
        self.layers = nn.ModuleList(
            OneOf({f"{k}x{k}": nn.Conv2d(3, 3, k, padding=k // 2) for k in (1, 3)}) for _ in "ab"
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.deep(x)
        for layer in self.layers:
            x = layer(x)
        return x.mean((2, 3))


def _widths() -> dict[str, nn.Module]:
    """An option with a layer between two widths, which others have apart."""
    first, second = Width([2, 3, 4, 6], name="first"), Width([2, 3, 4, 6], name="second")
    into, between, out = (
        ElasticConv2d(*sizes, 1) for sizes in ((3, first), (first, second), (second, 3))
    )
    apart = nn.Sequential(
        *(ElasticConv2d(*sizes, 1) for sizes in ((3, first), (first, 3), (3, second), (second, 3)))
    )
    return {"skip": nn.Identity(), "apart": apart, "one": nn.Sequential(into, between, out)}


@pytest.mark.parametrize("inside", [False, True])
def test_widths_in_a_model_of_one_stage_are_in_a_table(inside: bool) -> None:
    supernet = Supernet(Widths(4, inside), (3, 4, 4))
    table = CostTable(supernet)
    assert not table.on_demand
    rows = table.space.sample_many(40, np.random.default_rng(0))
    for row, costs in zip(rows, table.many(rows), strict=True):
        counted = count_network(supernet.extract(row), supernet.input_shape)
        assert [counted[name] for name in table.names] == costs.tolist()


def test_the_range_and_the_mean_of_such_a_model_are_those_of_all_networks() -> None:
    supernet = Supernet(Widths(4, inside=False), (3, 4, 4))
    table = CostTable(supernet)
    everything = table.many(np.array([*table.space]))[:, 0]
    assert table.range()["flops"] == (everything.min(), everything.max())
    uniform = [torch.full((n,), 1 / n).double() for n in table.space.option_counts]
    assert ExpectedCost(table, "flops")(uniform) == pytest.approx(everything.mean())


def test_what_an_option_deep_inside_of_others_does_is_counted() -> None:
    supernet = Supernet(Deep(_widths()), (3, 4, 4))
    table = CostTable(supernet)
    chosen = {"level1": "deep", "level2": "deep", "level3": "one"}
    for last in (True, False):
        architecture = [
            choice.index(chosen[choice.name])
            if choice.name in chosen
            else last * (len(choice.options) - 1)
            for choice in table.space.choices
        ]
        counted = count_network(supernet.extract(architecture), supernet.input_shape)
        assert table.cost(architecture) == counted


def test_what_no_chain_describes_is_counted_on_demand(supernet_of) -> None:
    table = CostTable(supernet_of("tied"))
    assert table.on_demand
    for row in product(range(3), repeat=6):
        used = int(0 in row) + row.count(1)
        assert table.cost(row)["params"] == used * (3 * 3 * 9 + 3)


def test_a_peak_is_counted_on_demand() -> None:
    supernet = Supernet(Widths(5, inside=False), (3, 4, 4))
    table = CostTable(supernet, counter=cost_counter(find_cost("memory")))
    assert table.on_demand


def test_the_range_of_what_is_in_no_table_is_found_by_climbing() -> None:
    table = CostTable(Supernet(Pairs(), (3, 4, 4)))
    assert table.on_demand
    # All pairs alike; all different, but for one layer with the large convolution.
    assert table.range()["params"] == (6 * 12, 6 * 24 - 12 + 84)
