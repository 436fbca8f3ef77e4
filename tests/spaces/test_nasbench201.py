"""The space of NAS-Bench-201."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from spos import CostTable, Supernet, UserError
from spos._cli.costs import profile_architecture
from spos.cost import count_network
from spos.spaces import family
from spos.spaces.nasbench201 import (
    EDGES,
    OPTIONS,
    PRESETS,
    architecture_string,
    nasbench201,
    parse_architecture_string,
    translate,
)

TABLE = Path(__file__).resolve().parents[3] / "shared" / "data" / "nasbench201-cifar10.csv"
LAYOUT = replace(PRESETS["tiny"], depths=(1, 2))
#: Multiply-adds of an operation on one edge, over the 5 cells at each of 3 resolutions; they are
#: the same at each, since channels double where the area quarters.
FLOPS = {"nor_conv_1x1": 15 * 16**2 * 32**2, "nor_conv_3x3": 15 * 9 * 16**2 * 32**2}
#: Weights and the affine parameters of their norms, of 5 cells of each of 3 sizes.
PARAMS = {
    name: sum(5 * (size * c * c + 2 * c) for c in (16, 32, 64))
    for name, size in (("nor_conv_1x1", 1), ("nor_conv_3x3", 9))
}


@pytest.fixture(scope="module")
def small() -> Supernet:
    torch.manual_seed(0)
    return nasbench201(LAYOUT, classes=10, image_channels=1)


@pytest.fixture(scope="module")
def benchmark() -> tuple[Supernet, CostTable]:
    with torch.device("meta"):
        supernet = nasbench201(PRESETS["cifar"], classes=10)
    return supernet, CostTable(supernet)


operations = st.tuples(*(st.sampled_from(OPTIONS) for _ in EDGES))


def test_an_architecture_is_one_cell():
    space = nasbench201(LAYOUT, classes=10).space
    assert space.size == 5**6 == 15_625
    assert [choice.name for choice in space.choices] == list(EDGES)
    assert all(choice.options == OPTIONS for choice in space.choices)


def test_the_costs_are_those_of_the_benchmark(benchmark):
    supernet, table = benchmark
    for edges, flops, params in (
        ("nor_conv_3x3 " * 6, 220_119_680, 1_531_546),
        ("nor_conv_3x3 nor_conv_3x3 avg_pool_3x3 skip_connect nor_conv_3x3 skip_connect",)
        + (113_951_360, 802_426),
        ("none " * 6, 7_783_040, 73_306),
    ):
        architecture = supernet.space.from_names(dict(zip(EDGES, edges.split(), strict=True)))
        expected = {"flops": flops, "params": params}
        assert table.cost(architecture) == expected
        assert count_network(supernet.extract(architecture), (3, 32, 32)) == expected


def test_the_costs_of_all_networks_are_sums_over_their_edges(benchmark):
    supernet, table = benchmark
    rows = np.array(list(supernet.space))
    expected = [
        base + np.array([adds.get(name, 0) for name in OPTIONS])[rows].sum(axis=1)
        for base, adds in ((7_783_040, FLOPS), (73_306, PARAMS))
    ]
    assert np.array_equal(table.many(rows), np.stack(expected, axis=1))


@settings(max_examples=10)
@given(chosen=operations)
def test_a_cost_is_that_of_the_network(small, chosen):
    architecture = small.space.from_names(dict(zip(EDGES, chosen, strict=True)))
    costs = CostTable(small, eager=False).cost(architecture)
    assert costs == count_network(small.subnet(architecture), small.input_shape)


@settings(max_examples=30)
@given(chosen=operations, training=st.booleans())
def test_the_subnet_is_the_path_bit_for_bit(small, chosen, training):
    architecture = small.space.from_names(dict(zip(EDGES, chosen, strict=True)))
    small.train(training)
    small.activate(architecture)
    network = small.subnet(architecture)
    inputs = torch.randn(3, 1, 8, 8)
    with torch.no_grad():
        assert torch.equal(network(inputs), small(inputs))
    assert all(type(module).__module__.startswith("torch.") for module in network.modules())


@given(chosen=operations)
def test_a_cell_computes_what_its_string_says(small, chosen):
    names = dict(zip(EDGES, chosen, strict=True))
    small.eval().activate(small.space.from_names(names))
    cell = small.model.get_submodule("stage1.0")
    nodes = [torch.randn(2, 8, 6, 6)]
    # As the string is read: node after node, each the sum over its edges.
    for node in architecture_string(names).split("+"):
        total = torch.zeros(2, 8, 6, 6)
        for edge in node.strip("|").split("|"):
            name, _, source = edge.partition("~")
            index = EDGES.index(f"{source}->{len(nodes)}")
            module = cell.edges[index].options[OPTIONS.index(name)]
            total = total + module(nodes[int(source)])
        nodes.append(total)
    torch.testing.assert_close(cell(nodes[0]), nodes[-1])


def test_operations_of_two_cells_share_a_choice_but_no_weights(small):
    architecture = [OPTIONS.index("nor_conv_1x1")] + [0] * 5
    cells = [small.extract(architecture).get_submodule(f"stage2.{i}.edges.0.1") for i in (0, 1)]
    assert not torch.equal(cells[0].weight, cells[1].weight)


def test_a_step_updates_the_operations_of_the_path_alone(small):
    small.train().activate([OPTIONS.index("nor_conv_3x3")] * 5 + [OPTIONS.index("none")])
    small.zero_grad()
    inputs, targets = torch.randn(4, 1, 8, 8), torch.arange(4)
    F.cross_entropy(small(inputs), targets).backward()
    moved = {name for name, p in small.named_parameters() if p.grad is not None}
    assert any("stage1.0.edges.3.options.3" in name for name in moved)
    assert not any("options.2" in name for name in moved)
    # The last edge is cut, and with it all that only it reads.
    assert not any("stage1.0.edges.2" in name for name in moved)
    small.zero_grad()


@given(chosen=operations)
def test_a_string_is_read_back(chosen):
    names = dict(zip(EDGES, chosen, strict=True))
    text = architecture_string(names)
    assert parse_architecture_string(text) == names
    assert parse_architecture_string(f" {text}\n") == names


def test_every_network_of_the_benchmark_is_read(small):
    if not TABLE.exists():
        pytest.skip("shared/data/nasbench201-cifar10.csv is not beside the repository")
    with TABLE.open(newline="") as file:
        texts = [row["arch"] for row in csv.DictReader(file)]
    names = [parse_architecture_string(text) for text in texts]
    assert len({small.space.from_names(one) for one in names}) == 15_625
    assert [architecture_string(one) for one in names] == texts


def test_the_catalogue_reads_the_string():
    text = "|nor_conv_3x3~0|+|none~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_1x1~1|none~2|"
    facts = profile_architecture("nasbench201", "tiny", text, classes=10)
    assert facts["architecture"] == "3,0,4,1,2,0"
    assert architecture_string(facts["names"]) == text
    space = nasbench201(LAYOUT, classes=10).space
    assert family("nasbench201").parse(space, "tiny", "3,0,4,1,2,0") == (3, 0, 4, 1, 2, 0)
    assert translate("3,0,4,1,2,0") == "3,0,4,1,2,0"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("|none~0|", "has 1 nodes, not 3: write .OP~0."),
        (
            "|none~0|+|none~0|+|none~0|none~1|none~2|",
            r"node 2 of architecture .* is '.none~0.', not .OP~0.OP~1.: write",
        ),
        ("none~0+|none~0|none~1|+|none~0|none~1|none~2|", "node 1 of architecture"),
        ("|none~0|+|none~0|none~0|+|none~0|none~1|none~2|", "node 2 .* not .OP~0.OP~1."),
        ("|none~0|+|none~0|none|+|none~0|none~1|none~2|", "node 2 .* not .OP~0.OP~1."),
        ("|none~0|+|none~0|nope~1|+|none~0|none~1|none~2|", "'nope' .* did you mean 'none'"),
        ("||+||", "has 2 nodes"),
        ("", "has 1 nodes"),
    ],
)
def test_a_wrong_string_is_one_line(text, says):
    with pytest.raises(UserError, match=says) as raised:
        parse_architecture_string(text)
    assert "\n" not in str(raised.value)
    with pytest.raises(UserError):
        profile_architecture("nasbench201", "tiny", text)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_runs_at_an_odd_image_size_in_every_option(name):
    # The branches of a reduction have to agree on the half of it.
    layout = replace(PRESETS[name], image_size=PRESETS[name].image_size + 1)
    with torch.device("meta"):
        supernet = nasbench201(layout, classes=10).train()
    for option in range(len(OPTIONS)):
        supernet.activate([option] * 6)
        assert supernet(torch.empty(2, *supernet.input_shape, device="meta")).shape == (2, 10)
    assert name in family("nasbench201").defaults


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"channels": (), "depths": ()}, "at least 1 stage"),
        ({"depths": (1,)}, "2 channels, 1 depths"),
        ({"depths": (1, 0)}, "layout.depths .1, 0.: each must be at least 1"),
        ({"channels": (8, 0)}, "layout.channels .8, 0.: each must be at least 1"),
        ({"image_size": 0}, "layout.image_size 0"),
    ],
)
def test_a_layout_that_does_not_fit_together_is_refused(changes, says):
    with pytest.raises(UserError, match=says) as raised:
        nasbench201(replace(LAYOUT, **changes), classes=10)
    assert "\n" not in str(raised.value)
