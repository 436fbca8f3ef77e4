"""The spaces of the catalogue whose choices are between modules can be mixed, the others not."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spos import CostTable, Supernet, UserError
from spos.cost.expected import ExpectedCost
from spos.spaces import SPACES
from spos.training import METHODS
from spos.training.recipe import DifferentiableSettings
from spos.training.theta import Moment, Theta, choice_modules

DRAWS = {name: METHODS[name].draw for name in ("darts", "fbnet", "proxylessnas")}
MIXED = [
    "shufflenetv2",
    "shufflenetv2-depth",
    "fbnet",
    "proxylessnas",
    "nasbench201",
    "nasbenchmacro",
    "mobile",
]


def build(name: str) -> Supernet:
    member = SPACES[name]
    torch.manual_seed(0)
    return member.build(member.preset("tiny"), classes=10, image_channels=1)


@pytest.mark.parametrize("name", MIXED)
def test_the_options_of_a_space_are_mixed_and_theta_has_gradients(name):
    supernet = build(name).train()
    theta = Theta(supernet, DifferentiableSettings(learning_rate=0.01, weight_decay=0.0))
    images = torch.randn(4, 1, 8, 8)
    for draw in DRAWS.values():
        random = torch.Generator().manual_seed(0)
        drawn = [draw(value, Moment(1.0, of_theta=True), random) for value in theta.values]
        theta.set_mixtures(drawn)
        gradients = torch.autograd.grad(supernet(images).square().sum(), theta.values)
        assert all(bool(gradient.isfinite().all()) for gradient in gradients)
        assert any(bool(gradient.any()) for gradient in gradients)


@pytest.mark.parametrize("name", MIXED)
def test_certain_options_compute_what_their_path_computes(name):
    supernet = build(name).eval()
    path = [count - 1 for count in supernet.space.option_counts]
    images = torch.randn(2, 1, 8, 8)
    supernet.activate(path)
    with torch.no_grad():
        alone = supernet(images)
        for module, position in choice_modules(supernet):
            module.mixture = [
                (index, torch.tensor(float(index == path[position])))
                for index in range(len(module.options))
            ]
        assert torch.equal(supernet(images), alone)


@pytest.mark.parametrize("name", MIXED)
def test_the_mean_cost_of_a_space_is_that_of_many_random_networks(name):
    table = CostTable(build(name))
    uniform = [torch.full((n,), 1 / n, dtype=torch.float64) for n in table.space.option_counts]
    expected = float(ExpectedCost(table, "flops")(uniform))
    rows = table.space.sample_many(20_000, np.random.default_rng(0))
    costs = table.many(rows)[:, 0]
    assert abs(expected - costs.mean()) < 5 * costs.std() / len(rows) ** 0.5


@pytest.mark.parametrize("name", sorted(set(SPACES) - set(MIXED)))
def test_any_other_space_is_refused_by_the_name_of_a_choice(name):
    with pytest.raises(UserError, match=r"^choice '.*' is a (Width|Bits|Stride): a differentiable"):
        choice_modules(build(name))
