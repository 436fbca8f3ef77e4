"""The example of a vision transformer: costs, extraction, and the whole pipeline."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from spos import CostTable, OneShotEvaluator, Supernet
from spos.cost import count_network

SHORT = {
    "supernet": {"steps": 40, "warmup_steps": 5},
    "retrain": {"steps": 80, "warmup_steps": 5},
    "search": {"population": 4, "iterations": 2, "parents": 2},
}


def by_hand(names: dict[str, str], layout, classes: int = 10) -> dict[str, int]:
    """Multiply-adds and parameters of a network, from the equations of a transformer."""
    positions, width, head = (layout.image_size // layout.patch) ** 2, int(names["width"]), 8
    multiply_adds = positions * layout.patch**2 * width + width * classes
    parameters = (layout.patch**2 + 1) * width + positions * width + 2 * width
    parameters += (width + 1) * classes
    for number in range(1, layout.depth + 1):
        block = f"block{number}"
        if names.get(block) == "skip":
            continue
        heads, ratio = int(names[f"{block}.heads"]), int(names[f"{block}.ratio"][:-1])
        inner, hidden = heads * head, ratio * width
        # Queries, keys, values and the output; every position with every position, twice.
        multiply_adds += positions * 4 * width * inner + 2 * heads * positions**2 * head
        multiply_adds += positions * 2 * width * hidden
        parameters += 3 * (width + 1) * inner + (inner + 1) * width
        parameters += (width + 1) * hidden + (hidden + 1) * width + 2 * 2 * width
    return {"flops": multiply_adds, "params": parameters}


def supernet_of(module) -> Supernet:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return module.build(module.Layout(), classes=10, image_channels=1)


def test_every_network_of_it_is_the_path_and_costs_what_the_equations_say(example):
    module = example("vision_transformer")
    supernet = supernet_of(module).eval()
    table = CostTable(supernet)
    images, random = torch.randn(3, 1, 8, 8), np.random.default_rng(0)
    for _ in range(10):
        architecture = supernet.space.sample(random)
        supernet.activate(architecture)
        network = supernet.subnet(architecture).eval()
        assert torch.equal(supernet(images), network(images))
        expected = by_hand(supernet.space.names(architecture), module.Layout())
        assert table.cost(architecture) == count_network(network, (1, 8, 8)) == expected
        modules = {type(part).__module__.split(".")[0] for part in network.modules()}
        assert modules == {"torch"}
    assert supernet.space.size == 3 * (3 * 3) ** 4 * 2**2


def test_a_step_leaves_alone_what_is_not_on_its_path(example):
    module = example("vision_transformer")
    supernet = supernet_of(module)
    names = {choice.name: choice.options[0] for choice in supernet.space.choices}
    supernet.activate(supernet.space.from_names(names))
    supernet(torch.randn(2, 1, 8, 8)).sum().backward()
    gradient = supernet.get_parameter("model.1.full.table").grad
    assert gradient is not None
    assert gradient[:16].any() and not gradient[16:].any()


def test_nothing_is_recalibrated(example):
    module = example("vision_transformer")
    supernet = supernet_of(module)
    random = np.random.default_rng(0)
    group = [supernet.space.sample(random) for _ in range(4)]
    images = [(torch.randn(6, 1, 8, 8), torch.arange(6))]
    noise = [(100 * torch.randn(6, 1, 8, 8), torch.arange(6))]

    def total(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return outputs.sum()

    scores = [
        dict(
            OneShotEvaluator(supernet, lambda held=held: held, lambda: images, metric=total)(group)
        )
        for held in (images, noise)
    ]
    assert scores[0] == scores[1]
    assert not any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in supernet.modules())


def test_the_example_ends_with_a_tested_network(example, tmp_path: Path):
    result = example("vision_transformer").search(tmp_path / "run", settings=SHORT)
    assert result.winner.costs["flops"] <= 400_000
    assert result.winner.names["width"] in ("16", "24", "32")
    assert 0 < result.retrain.test_score <= 1


def test_images_of_fashion_mnist_fit_its_preset(example):
    module = example("vision_transformer")
    layout = module.SPACES["transformer"].presets["fashion"]
    supernet = module.build(layout, classes=10, image_channels=1)
    names = {choice.name: choice.options[-1] for choice in supernet.space.choices}
    names |= {"block3": "block", "block4": "block"}
    architecture = supernet.space.from_names(names)
    network = supernet.subnet(architecture)
    assert network(torch.zeros(2, 1, 28, 28)).shape == (2, 10)
    assert count_network(network, (1, 28, 28)) == by_hand(names, layout)
    assert by_hand(names, layout)["flops"] == pytest.approx(11.1e6, rel=0.3)
