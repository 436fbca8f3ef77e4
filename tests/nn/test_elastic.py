"""Elastic layers: the slice is the layer, and nothing else is touched."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from spos import CostTable, Supernet, UserError
from spos.nn import (
    ElasticBatchNorm2d,
    ElasticConv2d,
    ElasticLayerNorm,
    ElasticLinear,
    OneOf,
    Width,
)
from spos.search.recalibration import recalibrate
from spos.training.loop import make_optimizer
from spos.training.optimizer import PathSGD
from spos.training.recipe import Recipe


class Stream(nn.Module):
    """A residual stream whose width several layers share, and a width inside."""

    def __init__(self) -> None:
        super().__init__()
        self.stream, self.inner = Width([4, 6, 8], name="stream"), Width([2, 5], name="inner")
        self.stem = ElasticConv2d(3, self.stream, 3, padding=1)
        self.norm = ElasticBatchNorm2d(self.stream)
        self.widen = ElasticConv2d(self.stream, self.inner, 1, bias=False)
        self.depth = ElasticConv2d(self.inner, self.inner, 3, padding=1, depthwise=True)
        self.inner_norm = ElasticBatchNorm2d(self.inner)
        self.narrow = ElasticConv2d(self.inner, self.stream, 1)
        self.layer_norm = ElasticLayerNorm(self.stream)
        self.head = ElasticLinear(self.stream, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.stem(x)))
        x = x + self.narrow(self.inner_norm(self.depth(self.widen(x))))
        return self.head(self.layer_norm(x.mean((2, 3))))


@pytest.fixture(scope="module", params=[True, False], ids=["affine", "stripped"])
def supernet(request: pytest.FixtureRequest) -> Supernet:
    torch.manual_seed(0)
    return Supernet(Stream(), (3, 6, 6), affine=request.param)


architectures = st.tuples(st.integers(0, 2), st.integers(0, 1))


@given(architecture=architectures, training=st.booleans())
def test_the_sliced_forward_is_the_extracted_network(supernet, architecture, training):
    supernet.train(training)
    supernet.activate(architecture)
    inputs = torch.randn(4, 3, 6, 6)
    network = supernet.subnet(architecture)
    with torch.no_grad():
        assert torch.equal(network(inputs), supernet(inputs))
    assert all(type(module).__module__.startswith("torch.") for module in network.modules())


@given(architecture=architectures)
def test_no_gradient_leaves_the_slice(supernet, architecture):
    supernet.activate(architecture)
    supernet.zero_grad()
    supernet(torch.randn(4, 3, 6, 6)).square().sum().backward()
    plain = dict(supernet.extract(architecture).named_parameters())
    for name, parameter in supernet.model.named_parameters():
        used = tuple(map(slice, plain[name.replace("full.", "")].shape))
        outside = torch.ones_like(parameter, dtype=torch.bool)
        outside[used] = False
        assert not parameter.grad[outside].any()
        assert name.endswith("bias") or parameter.grad[used].any()


@given(paths=st.lists(architectures, min_size=2, max_size=4))
def test_a_step_moves_the_slice_alone(supernet, paths):
    supernet = copy.deepcopy(supernet)
    recipe = Recipe(steps=1, batch_size=1, learning_rate=0.001, weight_decay=0.1)
    optimizer = make_optimizer(supernet, recipe)
    for path in paths:
        before = {k: v.detach().clone() for k, v in supernet.named_parameters()}
        momenta = {
            p: state["momentum_buffer"].clone() for p, state in optimizer.state.items() if state
        }
        optimizer.zero_grad()
        supernet.activate(path)
        supernet(torch.randn(4, 3, 6, 6)).square().sum().backward()
        optimizer.step()
        plain = dict(supernet.extract(path).named_parameters())
        for name, parameter in supernet.model.named_parameters():
            used = tuple(map(slice, plain[name.replace("full.", "")].shape))
            for now, then in (
                (parameter.detach(), before[f"model.{name}"]),
                (optimizer.state[parameter]["momentum_buffer"], momenta.get(parameter)),
            ):
                then = torch.zeros_like(now) if then is None else then
                outside = torch.ones_like(now, dtype=torch.bool)
                outside[used] = False
                assert torch.equal(now[outside], then[outside])
                # A bias before a batch norm has no gradient.
                assert name.endswith("bias") or not torch.equal(now[used], then[used])


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_step_of_several_paths_moves_what_any_of_them_used(order: tuple[int, int]):
    width = Width([2, 4])
    layer = ElasticLinear(3, width, bias=False)
    before = layer.full.weight.detach().clone()
    optimizer = PathSGD(layer.parameters(), 0.1, weight_decay=0.5)
    for option in order:
        width.active = option
        layer(torch.zeros(1, 3)).sum().backward()
    optimizer.step()
    # Of zeros there is no gradient: the decay alone moves what was used, the larger width.
    torch.testing.assert_close(layer.full.weight.detach(), 0.95 * before)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_where_all_is_used_it_is_the_sgd_of_torch(momentum):
    made = []
    for kind in (torch.optim.SGD, PathSGD):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        optimizer = kind(model.parameters(), 0.1, momentum=momentum, weight_decay=0.01)
        for _ in range(5):
            optimizer.zero_grad()
            model(torch.randn(3, 4)).square().sum().backward()
            optimizer.step()
        made.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    assert torch.equal(*made)


def test_plain_sgd_would_move_what_is_not_used():
    torch.manual_seed(0)
    width = Width([2, 4])
    layer = ElasticLinear(3, width, bias=False)
    optimizer = torch.optim.SGD(layer.parameters(), 0.1, momentum=0.9)
    for option in ("4", "2"):
        width.activate(option)
        before = layer.full.weight.detach().clone()
        optimizer.zero_grad()
        layer(torch.ones(1, 3)).square().sum().backward()
        optimizer.step()
    assert not torch.equal(layer.full.weight[2:], before[2:])


def test_what_is_frozen_stays_frozen_in_a_network():
    width = Width([2, 4])
    layers = (ElasticConv2d(3, width, 1), ElasticBatchNorm2d(width), ElasticConv2d(width, 3, 1))
    model = nn.Sequential(*layers)
    model[:2].requires_grad_(False)
    nn.init.normal_(model[1].full.weight)
    network = Supernet(model, (3, 4, 4)).subnet([0])
    trained = {name for name, one in network.named_parameters() if one.requires_grad}
    assert trained == {"2.weight", "2.bias"}
    assert torch.equal(network.get_parameter("1.weight"), model[1].full.weight[:2])


def test_costs_are_those_of_the_stand_alone_network(supernet):
    table = CostTable(supernet)
    for architecture in supernet.space:
        network = supernet.subnet(architecture)
        assert table.cost(architecture)["params"] == sum(p.numel() for p in network.parameters())


def test_a_width_is_shared_by_the_candidates_of_a_choice():
    width = Width({"half": 4, "full": 8}, name="width")
    block = OneOf(
        {
            str(kernel): nn.Sequential(
                ElasticConv2d(3, width, kernel, padding=kernel // 2),
                ElasticConv2d(width, 5, 1),
            )
            for kernel in (1, 3)
        },
        name="block",
    )
    supernet = Supernet(nn.Sequential(block), (3, 4, 4))
    assert [(c.name, c.ordered) for c in supernet.space.choices] == [
        ("block", False),
        ("width", True),
    ]
    assert CostTable(supernet).cost([1, 0])["params"] == 3 * 4 * 9 + 4 + 4 * 5 + 5
    assert supernet.subnet([1, 0])(torch.zeros(1, 3, 4, 4)).shape == (1, 5, 4, 4)


@pytest.mark.parametrize("sizes", [[0, 4], [8, 4], [4, 8.5], ["4", "8"], "48", [True]])
def test_sizes_that_do_not_rise_are_refused(sizes):
    with pytest.raises(
        UserError, match="each must be a whole number of at least 1, and none below"
    ):
        Width(sizes)


@pytest.mark.parametrize("size", [None, [8, 16], "8", 0, 2.5, True])
def test_a_layer_of_no_size_is_refused(size):
    for layer in (lambda: ElasticConv2d(3, size, 3), lambda: ElasticLinear(size, 2)):
        with pytest.raises(UserError, match=r"of a layer: must be a whole number of at least 1"):
            layer()
    for norm in (ElasticBatchNorm2d, ElasticLayerNorm):
        with pytest.raises(UserError, match=r"or a spos\.nn\.Width"):
            norm(size)


def test_sizes_of_numpy_are_whole_numbers():
    layer = ElasticLinear(np.int64(3), Width(np.array([2, 4])))
    assert layer(torch.zeros(1, 3)).shape == (1, 2)


def test_a_single_size_is_no_choice():
    with pytest.raises(UserError, match="sizes of a width 8: must be whole numbers, such as"):
        Width(8)


def test_a_depthwise_convolution_of_two_widths_is_refused():
    with pytest.raises(UserError, match="as many outputs as inputs"):
        ElasticConv2d(Width([2, 4]), Width([2, 4]), 3, depthwise=True)


def test_a_width_read_by_the_users_own_code_is_a_number_after_extraction():
    class Reads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.width = Width([2, 4])

        def forward(self, x: Tensor) -> Tensor:
            return x[:, : self.width.current]

    supernet = Supernet(Reads(), (4,))
    assert supernet.subnet([0])(torch.zeros(1, 4)).shape == (1, 2)
    assert supernet.extract([1])(torch.zeros(1, 4)).shape == (1, 4)


def test_recalibration_in_place_is_that_of_the_network_alone(supernet):
    supernet = copy.deepcopy(supernet)
    supernet.activate([1, 0])
    batches = [(torch.randn(8, 3, 6, 6) + 5, torch.zeros(8)) for _ in range(3)]
    network = supernet.extract([1, 0])
    recalibrate(network, lambda: batches)
    recalibrate(supernet, lambda: batches)
    for name in ("norm", "inner_norm"):
        alone, inside = network.get_submodule(name), supernet.model.get_submodule(name).full
        size = alone.num_features
        assert torch.allclose(alone.running_mean, inside.running_mean[:size])
        assert torch.allclose(alone.running_var, inside.running_var[:size])


def test_a_subnet_keeps_the_memory_format_and_the_bits(supernet):
    supernet = copy.deepcopy(supernet).to(memory_format=torch.channels_last).eval()
    inputs = torch.randn(4, 3, 6, 6).contiguous(memory_format=torch.channels_last)
    for architecture in supernet.space:
        supernet.activate(architecture)
        with torch.no_grad():
            assert torch.equal(supernet.subnet(architecture)(inputs), supernet(inputs))
