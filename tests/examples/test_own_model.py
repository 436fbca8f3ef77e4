"""The example of your own model, made searchable by three lines."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import numpy as np
import torch

from spos import CostTable
from spos.cost import count_network

SHORT = {
    "supernet": {"steps": 60, "warmup_steps": 5},
    "retrain": {"steps": 120, "warmup_steps": 5},
    "search": {"population": 6, "iterations": 2, "parents": 3},
    "run": {"calibration": 256},
}


def test_the_example_ends_with_a_tested_network(example, tmp_path: Path):
    result = example("own_model").search(tmp_path / "run", SHORT)
    assert result.winner.costs["flops"] <= 600_000
    assert set(result.winner.names) == {f"{n}.{c}" for n in range(1, 5) for c in PARTS}
    assert result.retrain.test_score > 0.5


PARTS = ("hidden", "expand")


def test_the_lines_that_are_replaced_make_the_same_block(example):
    module = example("own_model")
    source = inspect.getsource(module.Block)
    # Each commented line takes the place of the line below it.
    plain, count = re.subn(r"# (.*)\n.*\n", r"\1\n", source)
    assert count == 3
    names = {"nn": torch.nn, "Tensor": torch.Tensor}
    exec(plain, names)
    block = names["Block"](16, 2)
    space = module.build(module.Layout(strides=(2,)), classes=10, image_channels=1)
    largest = space.extract(space.space.from_names({"1.hidden": "32", "1.expand": "3x3"}))[1]
    shapes = {name: p.shape for name, p in block.named_parameters()}
    assert shapes == {name: p.shape for name, p in largest.named_parameters()}
    block.load_state_dict(largest.state_dict())
    x = torch.randn(2, 16, 8, 8)
    assert torch.equal(block.eval()(x), largest.eval()(x))


def test_every_network_of_it_is_the_path_and_costs_what_the_table_says(example):
    module = example("own_model")
    supernet = module.build(module.Layout(), classes=10, image_channels=1).eval()
    table = CostTable(supernet)
    images, random = torch.randn(3, 1, 8, 8), np.random.default_rng(0)
    for _ in range(8):
        architecture = supernet.space.sample(random)
        supernet.activate(architecture)
        network = supernet.subnet(architecture).eval()
        assert torch.equal(supernet(images), network(images))
        assert table.cost(architecture) == count_network(network, (1, 8, 8))
