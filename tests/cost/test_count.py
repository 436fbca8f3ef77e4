"""Multiply-adds and parameters of one network."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from spos import UserError
from spos.cost import count_network


class Attention(nn.Module):
    """Operations that are no modules; statistics that are normalised with in a function."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(4))
        self.norm = nn.BatchNorm1d(4)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.scaled_dot_product_attention(x, x, x) @ x.transpose(1, 2)
        x = self.norm(x[:, :4, :5])
        running = (self.norm.running_mean, self.norm.running_var)
        return nn.functional.batch_norm(x, *running) * self.scale[:, None]


NETWORKS = {
    "convolution": (nn.Conv2d(3, 8, 3, stride=2, bias=False), (3, 9, 9), 8 * 27 * 16),
    "grouped": (nn.Conv2d(4, 8, 3, groups=4, bias=False), (4, 5, 5), 8 * 9 * 9),
    "transposed": (nn.ConvTranspose2d(3, 2, 2, stride=2), (3, 4, 4), 3 * 2 * 4 * 16),
    "linear": (nn.Linear(10, 5), (7, 10), 350),
    "functions": (Attention(), (6, 5), 3 * 6 * 6 * 5),
    "nothing to count": (
        nn.Sequential(nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2)),
        (3, 4, 4),
        0,
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_multiply_add_counts_once(name):
    network, shape, expected = NETWORKS[name]
    costs = count_network(network, shape)
    assert costs["flops"] == expected
    assert costs["params"] == sum(parameter.numel() for parameter in network.parameters())
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        copy.deepcopy(network).eval()(torch.zeros(1, *shape))
    assert counter.get_total_flops() == 2 * expected


def test_parameters_shared_by_two_modules_count_once():
    first, second = nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)
    second.weight = first.weight
    assert count_network(nn.Sequential(first, second), (4,)) == {"flops": 32, "params": 16}


def test_counting_leaves_the_network_as_it_is():
    network = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)).train()
    before = copy.deepcopy(network.state_dict())
    count_network(network, (4,))
    assert all(module.training for module in network.modules())
    assert all(torch.equal(before[name], t) for name, t in network.state_dict().items())


@pytest.mark.parametrize(
    ("network", "shape"),
    [
        (nn.Conv2d(3, 8, 3), (4, 9, 9)),
        (nn.Conv2d(3, 8, 3), (3, 2, 2)),
        (nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(4)), (3, 9, 9)),
        (nn.BatchNorm2d(4), (4, 3)),
        (nn.Bilinear(2, 2, 2), (2,)),
    ],
)
def test_a_network_that_does_not_run_is_refused_in_one_line(network, shape):
    says = rf"{type(network).__name__} does not run on input of shape \(1, {shape[0]}"
    with pytest.raises(UserError, match=says) as raised:
        count_network(network, shape)
    assert "\n" not in str(raised.value)
