"""The space of NAS-Bench-Macro."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from spos import CostTable, Supernet, UserError
from spos._cli.costs import profile_architecture
from spos.cost import count_network
from spos.spaces import family
from spos.spaces.nasbenchmacro import OPTIONS, PRESETS, digits, nasbenchmacro, translate

TABLE = Path(__file__).resolve().parents[3] / "shared" / "data" / "nasbenchmacro-cifar10.csv"


@pytest.fixture(scope="module")
def benchmark() -> tuple[Supernet, CostTable]:
    with torch.device("meta"):
        supernet = nasbenchmacro(PRESETS["cifar"], classes=10)
    return supernet, CostTable(supernet)


def test_an_architecture_is_a_block_a_layer(benchmark):
    space = benchmark[0].space
    assert space.size == 3**8 == 6561
    assert all(choice.options == OPTIONS for choice in space.choices)


def test_the_costs_are_those_of_the_benchmark(benchmark):
    supernet, table = benchmark
    for text, flops, params in (
        ("00000000", 7_713_280, 387_882),
        ("00000012", 27_312_640, 1_623_082),
        ("00000100", 11_962_880, 507_562),
    ):
        architecture = supernet.space.parse(translate(text))
        expected = {"flops": flops, "params": params}
        assert table.cost(architecture) == expected
        assert count_network(supernet.extract(architecture), (3, 32, 32)) == expected


def test_the_costs_of_all_networks_are_those_of_the_benchmark(benchmark):
    if not TABLE.exists():
        pytest.skip("shared/data/nasbenchmacro-cifar10.csv is not beside the repository")
    with TABLE.open(newline="") as file:
        rows = list(csv.DictReader(file))
    architectures = np.array([[int(digit) for digit in row["arch"]] for row in rows])
    assert len({row["arch"] for row in rows}) == 6561
    expected = [[int(row["flops"]), int(row["params"])] for row in rows]
    assert benchmark[1].names[:2] == ("flops", "params")
    assert np.array_equal(benchmark[1].many(architectures)[:, :2], expected)


def test_an_identity_is_a_convolution_where_the_shape_changes():
    supernet = nasbenchmacro(PRESETS["proxy"], classes=10)
    network = supernet.subnet([0] * 8)
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    shapes = [(m.in_channels, m.out_channels, m.kernel_size[0], m.stride[0]) for m in convolutions]
    assert shapes == [(3, 8, 3, 1), (8, 16, 1, 2), (16, 32, 1, 2), (32, 64, 1, 2), (64, 320, 1, 1)]
    assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


def test_the_catalogue_reads_the_digits():
    facts = profile_architecture("nasbenchmacro", "tiny", "20112002", classes=10)
    assert facts["architecture"] == "2,0,1,1,2,0,0,2"
    assert digits(facts["names"]) == "20112002"
    assert family("nasbenchmacro").notated(facts["names"]) == {"notation": "20112002"}
    space = nasbenchmacro(PRESETS["tiny"], classes=10).space
    assert family("nasbenchmacro").parse(space, "tiny", "2,0,1,1,2,0,0,2") == (
        2,
        0,
        1,
        1,
        2,
        0,
        0,
        2,
    )


@pytest.mark.parametrize("text", ["", "2011200", "20112003", "201120021", "identity"])
def test_a_wrong_notation_is_one_line(text):
    with pytest.raises(UserError) as raised:
        profile_architecture("nasbenchmacro", "tiny", text)
    assert "\n" not in str(raised.value)


def test_a_layout_that_does_not_fit_together_is_refused():
    with pytest.raises(UserError, match="3 channels, 1 depths"):
        nasbenchmacro(replace(PRESETS["tiny"], depths=(1,)), classes=10)
