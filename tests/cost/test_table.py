"""The cost of any path, against a count of the network itself."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import combinations, product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from spos import Architecture, CostTable, OneOf, Supernet, UserError
from spos.cost.count import count
from spos.cost.node import spread
from spos.cost.part import Counter, Part
from spos.nn import ElasticConv2d, Width
from spos.spaces.plain import PRESETS, plain

GetSupernet = Callable[[str], Supernet]
GetTable = Callable[[str], CostTable]

MODELS = [
    "small",
    "residual",
    "widths",
    "widths in sequence",
    "strides",
    "shared",
    "nested",
    "reused",
    "inplace",
    "pair",
]
ENUMERABLE = [name for name in MODELS if name != "residual"]


@pytest.fixture(scope="module")
def table_of(supernet_of: GetSupernet) -> GetTable:
    built: dict[str, CostTable] = {}

    def get(name: str) -> CostTable:
        if name not in built:
            built[name] = CostTable(supernet_of(name))
        return built[name]

    return get


def counted(supernet: Supernet, architecture: Sequence[int]) -> dict[str, int]:
    network = supernet.extract(architecture)
    params = sum(parameter.numel() for parameter in network.parameters())
    network = copy.deepcopy(network).to("meta").eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            # No multiply-adds, but about thirty operations each on the meta device.
            module.forward = lambda x: x
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.empty(1, *supernet.input_shape, device="meta"))
    return {"flops": counter.get_total_flops() // 2, "params": params}


def architectures(supernet: Supernet) -> st.SearchStrategy[Architecture]:
    options = [st.integers(0, count - 1) for count in supernet.space.option_counts]
    return st.tuples(*options).map(Architecture)


@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=6)
@given(data=st.data())
def test_a_cost_is_that_of_the_network(name, supernet_of: GetSupernet, table_of: GetTable, data):
    supernet = supernet_of(name)
    architecture = data.draw(architectures(supernet))
    assert table_of(name).cost(architecture) == counted(supernet, architecture)


@pytest.mark.parametrize(("name", "count"), [("imagenet", 2), ("cifar", 2), ("tiny", 2)])
def test_a_cost_is_that_of_the_network_in_every_preset(
    name, count, supernet_of: GetSupernet, table_of: GetTable
):
    supernet = supernet_of(name)
    random = np.random.default_rng(0)
    for architecture in (supernet.space.sample(random) for _ in range(count)):
        assert table_of(name).cost(architecture) == counted(supernet, architecture)


@pytest.mark.parametrize("name", MODELS)
def test_the_costs_of_many_are_the_costs_of_each(name, table_of: GetTable):
    table = table_of(name)
    rows = table.space.sample_many(20, np.random.default_rng(1))
    many = table.many(rows)
    assert many.dtype == np.int64
    each = [table.cost(row) for row in rows.tolist()]
    assert [dict(zip(table.names, row, strict=True)) for row in many.tolist()] == each
    assert table.many(rows[:0]).shape == (0, 2)


@pytest.mark.parametrize("name", ENUMERABLE)
def test_the_range_is_that_of_the_whole_space(name, table_of: GetTable):
    table = table_of(name)
    everything = table.many(np.array(list(table.space)))
    expected = zip(everything.min(axis=0).tolist(), everything.max(axis=0).tolist(), strict=True)
    assert list(table.range().values()) == list(expected)
    assert tuple(table.range()) == table.names == ("flops", "params")


def test_the_range_of_a_stage_with_too_many_combinations_to_count(table_of: GetTable):
    additive = table_of("residual")
    everything = additive.many(np.array(list(additive.space)))
    assert additive.range()["flops"] == (everything[:, 0].min(), everything[:, 0].max())
    # Not additive, but each wider option costs more whatever the others are.
    widths = table_of("widths")
    least, largest = widths.cost([0] * 6), widths.cost([3] * 6)
    assert widths.range() == {name: (least[name], largest[name]) for name in widths.names}


@pytest.mark.parametrize("name", ["small", "strides", "residual", "widths in sequence"])
def test_a_table_that_counts_on_demand_gives_the_same(
    name, supernet_of: GetSupernet, table_of: GetTable
):
    eager, lazy = table_of(name), CostTable(supernet_of(name), eager=False)
    rows = eager.space.sample_many(8, np.random.default_rng(2))
    assert lazy.cost(rows[0]) == eager.cost(rows[0])
    assert np.array_equal(lazy.many(rows), eager.many(rows))
    assert lazy.range() == eager.range()
    assert np.array_equal(lazy.many(rows), eager.many(rows))


@pytest.mark.parametrize("name", ["small", "strides", "residual"])
def test_the_stages_add_up_to_the_whole(name, supernet_of: GetSupernet, table_of: GetTable):
    supernet, table = supernet_of(name), table_of(name)
    architecture = [1] * len(supernet.space)
    stages = table.stages(architecture)
    assert [stage["name"] for stage in stages] == [stage.name for stage in supernet.stages]
    total = {cost: sum(stage[cost] for stage in stages) for cost in table.names}
    assert total == table.cost(architecture)


def test_the_supernet_stays_as_it_is(make_supernet: GetSupernet):
    supernet = make_supernet("small").train()
    supernet.activate([1, 2, 3, 0])
    before = {name: tensor.clone() for name, tensor in supernet.state_dict().items()}
    CostTable(supernet).cost([0, 0, 0, 0])
    assert supernet.active == Architecture((1, 2, 3, 0))
    assert all(module.training for module in supernet.modules())
    assert all(torch.equal(before[name], t) for name, t in supernet.state_dict().items())


class Sequence11(nn.Module):
    """2048 combinations, in which a choice that costs nothing changes the shape of the output."""

    def __init__(self) -> None:
        super().__init__()
        self.choices = nn.ModuleList(
            OneOf({"conv": nn.Conv2d(3, 3, 3, padding=1), "skip": nn.Identity()}) for _ in range(10)
        )
        self.last = OneOf({"skip": nn.Identity(), "pool": nn.AvgPool2d(2)})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for choice in self.choices:
            x = choice(x)
        return self.last(x)


def test_a_large_stage_may_change_the_shape_for_the_next():
    supernet = Supernet(nn.Sequential(Sequence11(), nn.Conv2d(3, 4, 3)), (3, 8, 8)).eval()
    table = CostTable(supernet)
    rows = table.space.sample_many(10, np.random.default_rng(0))
    expected = [list(counted(supernet, row).values()) for row in rows.tolist()]
    assert table.many(rows).tolist() == expected


def test_a_wrong_architecture_is_refused(table_of: GetTable):
    table = table_of("small")
    for method in (table.cost, table.stages):
        with pytest.raises(UserError, match="has 3 options, this space has 4 choices"):
            method([0, 0, 0])
        with pytest.raises(UserError, match="out of range"):
            method([0, 0, 0, 4])


@pytest.mark.parametrize("rows", [[[0, 0, 0, 4]], [[0, -1, 0, 0]], [[0, 0, 0]], [0, 0, 0, 0]])
def test_wrong_rows_are_refused(rows, table_of: GetTable):
    with pytest.raises(UserError, match="option indices"):
        table_of("small").many(np.array(rows))


@pytest.mark.parametrize("eager", [True, False])
def test_a_model_that_does_not_run_on_its_input_is_refused_by_name(eager):
    model = nn.Sequential(OneOf({"a": nn.Conv2d(3, 4, 3), "b": nn.Conv2d(4, 4, 3)}))
    with pytest.raises(UserError, match=r"Conv2d does not run on input of shape \(1, 3, 8, 8\)"):
        CostTable(Supernet(model, (3, 8, 8)), eager=eager).cost([1])


def test_the_range_of_a_large_stage_that_reads_a_width_again_is_exact():
    layout = replace(PRESETS["tiny"], filters=(8, 12, 16, 20, 24, 32, 40))
    with torch.device("meta"):
        supernet = plain(layout, classes=10, image_channels=1)
    table = CostTable(supernet)
    least, largest = table.range()["flops"]
    heaviest = [0 if "stride" in c.name else len(c.options) - 1 for c in table.space.choices]
    rows = table.space.sample_many(200, np.random.default_rng(0))
    costs = table.many(rows)[:, 0]
    assert table.cost(heaviest)["flops"] == largest == table.range()["flops"][1]
    assert least <= costs.min() <= costs.max() <= largest


class OneStage(nn.Module):
    """A model of one stage, the last option of whose first layer is told apart by a chance in n."""

    def __init__(self, last: nn.Module, options: int = 16):
        super().__init__()
        layers: list[list[nn.Module]] = [
            [nn.Conv2d(4, 4, 1 + 2 * (n % 3), padding=n % 3) for n in range(options)]
            for _ in range(3)
        ]
        layers[0][-1] = last
        self.layers = nn.ModuleList(
            OneOf({str(place): one for place, one in enumerate(layer)}) for layer in layers
        )

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


@pytest.mark.parametrize("kind", ["nested", "stride"])
@pytest.mark.parametrize("options", [7, 10, 16])
def test_an_option_that_changes_what_others_cost_is_found(kind: str, options: int) -> None:
    inner = OneOf({"none": nn.Identity(), "5x5": nn.Conv2d(4, 4, 5, padding=2)})
    last = {"nested": nn.Sequential(nn.Conv2d(4, 4, 1), inner), "stride": nn.Conv2d(4, 4, 1, 2)}
    supernet = Supernet(OneStage(last[kind], options), (4, 8, 8))
    table = CostTable(supernet)
    most = [count - 1 for count in supernet.space.option_counts]
    for architecture in (most, [*most[:-1], 1], [0, *most[1:]]):
        assert table.cost(architecture) == counted(supernet, architecture)


@pytest.mark.parametrize(("first", "second"), [(3, 8), (5, 5), (9, 1)])
def test_two_options_of_one_weight_are_found(first: int, second: int) -> None:
    model = OneStage(nn.Conv2d(4, 4, 1), 10)
    layers = [layer.options for layer in model.layers]
    layers[1][second] = layers[0][first]
    supernet = Supernet(model, (4, 8, 8))
    table = CostTable(supernet)
    for architecture in ([first, second, 0], [first, second, 9], [first, 0, 0], [0, second, 4]):
        assert table.cost(architecture) == counted(supernet, architecture)


def test_combinations_that_test_a_cost_have_any_two_options_in_them() -> None:
    box = [[0, 1, 2, 3, 4], [1], [0, 2, 5], *[[0, 1]] * 12]
    rows = spread(box, [[{}]] * len(box))
    assert len(rows) < 64
    for (i, ones), (j, others) in combinations(enumerate(box), 2):
        assert {(row[i], row[j]) for row in rows} == {*product(ones, others)}


class Wide(nn.Module):
    """A stage with too many combinations of options to count, which reads a width."""

    def __init__(self, width: Width, widened: Width | None = None):
        super().__init__()
        self.first = ElasticConv2d(width, widened or 8, 1)
        outputs = widened or 8
        self.layers = nn.ModuleList(
            OneOf({"1x1": ElasticConv2d(outputs, outputs, 1), "none": nn.Identity()})
            for _ in range(9)
        )

    def forward(self, x):
        x = self.first(x)
        for layer in self.layers:
            x = layer(x)
        return x


@pytest.mark.parametrize("depth", [1, 2])
def test_the_range_of_a_large_stage_behind_a_width_is_that_of_every_width(depth: int) -> None:
    widths = [Width([2, 4, 8], name=name) for name in "ab"]
    stages = [Wide(widths[0], widths[1] if depth == 2 else None), Wide(widths[1])][:depth]
    supernet = Supernet(nn.Sequential(ElasticConv2d(3, widths[0], 1), *stages), (3, 4, 4))
    places = {choice.name: place for place, choice in enumerate(supernet.space.choices)}
    # Of the layers, the convolution is the first option and nothing the last.
    least = [1] * len(places)
    most = [0] * len(places)
    for name in "ab"[:depth]:
        least[places[name]], most[places[name]] = 0, 2
    small, large = (counted(supernet, one) for one in (least, most))
    assert CostTable(supernet).range() == {name: (small[name], large[name]) for name in small}


def test_costs_are_whole_numbers() -> None:
    layer = OneOf({"wide": nn.Linear(4, 8), "skip": nn.Linear(4, 8, bias=False)})
    supernet = Supernet(layer, (4,))

    def counter(factor: float) -> Counter:
        def count_part(part: Part) -> tuple[tuple[int, ...], object]:
            (params,), output = count(part.network(), part.value, ("params",))
            return (factor * np.int64(params),), output

        return Counter(("energy",), count_part)

    costs = CostTable(supernet, counter=counter(2)).cost([0])
    assert costs == {"energy": 80} and type(costs["energy"]) is int
    with pytest.raises(UserError, match=r"energy 60.0: costs are whole numbers"):
        CostTable(supernet, counter=counter(1.5)).cost([0])
    # Sums of these would be below 0 in 64 bits.
    with pytest.raises(UserError, match=r"energy -\d+ of stage '': no network has more"):
        CostTable(supernet, counter=counter(-(10**16))).cost([0])


def test_a_model_without_its_supernet_is_refused():
    with pytest.raises(UserError, match=r"supernet of type Linear: must be a spos\.Supernet"):
        CostTable(nn.Linear(2, 2))  # type: ignore[arg-type]
