"""Multiply-adds and parameters of one network."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, fx, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from spos import UserError
from spos.cost import count_network
from spos.cost.count import cost_names, count
from spos.cost.part import on_meta
from spos.nn import FixedBitsConv2d, bit_pair


class Attention(nn.Module):
    """Operations that are not modules; statistics used for normalisation in a function."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(4))
        self.norm = nn.BatchNorm1d(4)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.scaled_dot_product_attention(x, x, x) @ x.transpose(1, 2)
        x = self.norm(x[:, :4, :5])
        running = (self.norm.running_mean, self.norm.running_var)
        return nn.functional.batch_norm(x, *running) * self.scale[:, None]


class Vector(nn.Module):
    """The weight of each of several places, as attention pooling has it."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(8))

    def forward(self, x: Tensor) -> Tensor:
        return torch.addmv((x @ self.weight)[0], x[0], self.weight) + self.weight @ self.weight


class Pooled(nn.Module):
    """Second moments summed over the batch, as pooling by covariance has them."""

    def forward(self, x: Tensor) -> Tensor:
        total = torch.addbmm(x.new_zeros(8, 8), x.transpose(1, 2), x)
        return total + torch.vdot(x[0, 0], x[0, 1])


class Pair(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Bilinear(8, 7, 6)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x, x[..., :7])


UNKNOWN_TO_TORCH = {
    "vector": (Vector(), (16, 8), 2 * 16 * 8 + 8),
    "pooled": (Pooled(), (16, 8), 8 * 16 * 8 + 8),
    "bilinear": (Pair(), (16, 8), 16 * 6 * 8 * 7),
}
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
    # Of a fused kernel of the CPU, torch 2.14 counts nothing.
    plain = sdpa_kernel(SDPBackend.MATH)
    with plain, torch.no_grad(), FlopCounterMode(display=False) as counter:
        copy.deepcopy(network).eval()(torch.zeros(1, *shape))
    assert counter.get_total_flops() == 2 * expected


@pytest.mark.parametrize("name", UNKNOWN_TO_TORCH)
def test_products_that_torch_does_not_count_count_as_well(name):
    network, shape, expected = UNKNOWN_TO_TORCH[name]
    assert count_network(network, shape)["flops"] == expected


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


class Making(nn.Module):
    """A forward with tensors of its own: one that is an attribute, and one that it makes."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.ones(4)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale + torch.zeros(x.shape[0], 4)


def test_a_forward_may_make_tensors_and_keep_them_in_attributes():
    network = nn.Sequential(nn.Linear(4, 4), Making())
    assert count_network(network, (4,)) == {"flops": 16, "params": 20}
    assert network[1].scale.device.type == "cpu", "the network is left as it is"


def test_a_forward_that_depends_on_values_is_told_so():
    class Deciding(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(UserError, match="its forward must not depend on the values of tensors"):
        count_network(nn.Sequential(nn.Linear(4, 4), Deciding()), (4,))


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("could not create a primitive")])
def test_a_network_is_not_refused_for_a_lack_of_memory(error, monkeypatch):
    def fails(*_: object) -> Tensor:
        raise error

    network = nn.Conv2d(3, 8, 3)
    monkeypatch.setattr(nn.Conv2d, "forward", fails)
    with pytest.raises(type(error)) as raised:
        count_network(network, (3, 9, 9))
    assert raised.value is error


def quantised(pair: str, inputs: int, outputs: int, kernel: int) -> FixedBitsConv2d:
    convolution = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
    return FixedBitsConv2d(convolution, bit_pair(pair), weights="dorefa", activations="pact")


def test_bit_operations_are_those_of_the_quantised_layers_alone():
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1, bias=False),
        quantised("w1a2", 4, 4, 3),
        nn.BatchNorm2d(4),
        nn.MaxPool2d(2),
        quantised("w3a4", 4, 6, 1),
        nn.Flatten(),
        nn.Linear(6 * 4, 5),
    )
    # Pixels before the pooling and after it: 16 and 4.
    first, one, three, linear = 16 * 4 * 27, 16 * 4 * 36, 4 * 6 * 4, 6 * 4 * 5
    norm_and_rest = 4 * 27 + 8 + 6 * 4 * 5 + 5
    clips = 2
    assert count_network(network, (3, 4, 4)) == {
        "flops": first + one + three + linear,
        "params": norm_and_rest + clips + 4 * 36 + 6 * 4,
        "bitops": one * 1 * 2 + three * 3 * 4,
        "model_bits": 32 * (norm_and_rest + clips) + 1 * 4 * 36 + 3 * 6 * 4,
    }


def test_a_layer_that_runs_twice_computes_twice_and_is_stored_once():
    layer = quantised("w2a3", 4, 4, 1)
    once, twice = (count_network(nn.Sequential(*[layer] * times), (4, 5, 5)) for times in (1, 2))
    assert twice["bitops"] == 2 * once["bitops"] == 2 * 25 * 16 * 2 * 3
    assert twice["model_bits"] == once["model_bits"] == 16 * 2 + 32


def test_a_weight_that_two_layers_share_is_stored_once_for_the_finer_one():
    fine, coarse = quantised("w4a4", 4, 4, 1), quantised("w1a2", 4, 4, 1)
    coarse.weight = fine.weight
    costs = count_network(nn.Sequential(fine, coarse), (4, 5, 5))
    assert costs["model_bits"] == 16 * 4 + 2 * 32
    assert costs["bitops"] == 25 * 16 * (16 + 2)


def test_only_what_is_quantised_has_costs_in_bits():
    assert cost_names(nn.Conv2d(3, 4, 3)) == ("flops", "params")
    layer = quantised("w2a2", 4, 4, 1)
    assert cost_names(nn.Sequential(layer)) == ("flops", "params", "bitops", "model_bits")
    traced = fx.symbolic_trace(layer)
    assert count_network(traced, (4, 5, 5)) == {
        name: count_network(layer, (4, 5, 5))[name] for name in ("flops", "params")
    }


def test_counting_bits_leaves_no_hooks():
    layer = quantised("w2a2", 4, 4, 1)
    meta = on_meta(layer)
    count(meta, torch.empty(1, 4, 5, 5, device="meta"), cost_names(layer))
    assert not meta._forward_hooks and not meta._forward_pre_hooks
