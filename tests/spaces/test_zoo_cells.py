"""Networks of cells that other searches found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import fx
from torch.nn import functional as F

from spos.cost import count_network
from spos.spaces.blocks.cells import Cell, FactorizedReduction, Wiring
from spos.spaces.zoo import build_network
from spos.spaces.zoo.cells import DARTS_V2, NASNET_A, PNASNET_5
from spos.training.loop import make_optimizer
from spos.training.recipe import Recipe

PUBLISHED_FILE = Path(__file__).resolve().parents[3] / "shared" / "published.json"

#: Multiply-adds and parameters. Those of DARTS are published exactly. The papers print 564 M and
#: 5.3 M for NASNet-A, 588 M and 5.1 M for PNASNet-5: these are our own counts.
COSTS = {
    "nasnet_a_mobile": (563_638_816, 5_289_978),
    "pnasnet_5_mobile": (587_293_200, 5_064_487),
    "darts_v2_imagenet": (529_911_552, 4_718_752),
}
PRINTED = {"nasnet_a_mobile": (564, 5.3), "pnasnet_5_mobile": (588, 5.1)}


@pytest.mark.parametrize("name", COSTS)
def test_a_network_has_its_costs(name):
    with torch.device("meta"):
        network = build_network(name, classes=1000)
        assert network(torch.empty(2, 3, 224, 224)).shape == (2, 1000)
    flops, params = COSTS[name]
    assert count_network(network, (3, 224, 224)) == {"flops": flops, "params": params}
    if name in PRINTED:
        millions, parameters = PRINTED[name]
        assert flops / 1e6 == pytest.approx(millions, rel=0.002)
        assert round(params / 1e6, 1) == parameters


@pytest.fixture(scope="module")
def published():
    if not PUBLISHED_FILE.exists():
        pytest.skip("shared/published.json is not beside the repository")
    return json.loads(PUBLISHED_FILE.read_text())


def test_the_figures_here_are_those_of_the_published_file(published):
    rows = published["by_hand_and_other_searches"]
    for name, (flops, params) in COSTS.items():
        row = rows[name]
        if "macs_m" in row:
            assert (round(row["macs_m"] * 1e6), round(row["params_m"] * 1e6)) == (flops, params)
        else:
            assert PRINTED[name] == (row["paper_flops_m"], row["paper_params_m"])


def test_the_genotypes_are_those_of_the_published_file(published):
    def wiring(genotype, kind: str) -> Wiring:
        edges = tuple((name, source) for name, source in genotype[kind])
        return Wiring(edges, tuple(genotype[f"{kind}_concat"]))

    genotypes = published["cell_genotypes"]
    for kind in ("normal", "reduce"):
        assert wiring(genotypes["darts_v2"], kind) == DARTS_V2[kind]
        there = wiring(genotypes["nasnet_a"], kind)
        assert there.edges == NASNET_A[kind].edges
        # The released network concatenates one state more in both cells.
        (more,) = set(NASNET_A[kind].concat) - set(there.concat)
        assert more == (0 if kind == "normal" else 3)
    assert wiring(genotypes["pnasnet_5"], "normal") == PNASNET_5


@pytest.mark.parametrize(
    ("name", "cells", "features"),
    [
        ("nasnet_a_mobile", (4 + 1 + 4 + 1 + 4, 2), 1056),
        ("pnasnet_5_mobile", (9, 2), 1080),
        ("darts_v2_imagenet", (14, 0), 768),
    ],
)
def test_the_stacks(name, cells, features):
    for size, expected, reductions in ((32, cells[0], 2), (224, sum(cells), 2 + cells[1])):
        with torch.device("meta"):
            network = build_network(name, classes=7, image_size=size)
        modules = list(network.modules())
        assert sum(isinstance(module, Cell) for module in modules) == expected
        # After every reduction the cell but one before has to be halved, too; and the stem of
        # DARTS for large images reduces once between its two outputs.
        halved = sum(isinstance(module, FactorizedReduction) for module in modules)
        assert halved == reductions + (name == "darts_v2_imagenet" and size == 224)
        assert network.classifier[-1].in_features == features
        assert network.classifier[-1].out_features == 7


@pytest.mark.parametrize("name", COSTS)
def test_a_small_network_takes_a_training_step(name):
    torch.manual_seed(0)
    network = build_network(name, classes=3, image_channels=1, image_size=32)
    traced = fx.symbolic_trace(network)
    assert all(type(m).__module__.startswith("torch.") for m in traced.modules())
    inputs, targets = torch.randn(3, 1, 32, 32), torch.arange(3)
    with torch.no_grad():
        assert torch.equal(traced.eval()(inputs), network.eval()(inputs))
    optimizer = make_optimizer(network, Recipe(steps=1, batch_size=3, learning_rate=0.02))
    before = [parameter.clone() for parameter in network.parameters()]
    loss = F.cross_entropy(network.train()(inputs), targets)
    loss.backward()
    optimizer.step()
    assert loss.isfinite()
    after = network.parameters()
    assert not any(torch.equal(old, new) for old, new in zip(before, after, strict=True))
