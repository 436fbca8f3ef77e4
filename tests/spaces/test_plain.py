"""The textbook space of convolution layers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from spos import Constraint, Supernet, UserError
from spos.cost import OptionCount, count_network
from spos.search import Feasible
from spos.spaces import family
from spos.spaces.plain import PRESETS, PlainLayout, plain, plain_costs
from spos.training.optimizer import PathSGD

LAYOUT = PlainLayout(image_size=8, layers=3, filters=(4, 6), kernels=(1, 3), strides=(1, 2))


@pytest.fixture(scope="module")
def small() -> Supernet:
    torch.manual_seed(0)
    return plain(LAYOUT, classes=10, image_channels=1)


@pytest.fixture(scope="module")
def cifar() -> Supernet:
    with torch.device("meta"):
        return plain(PRESETS["cifar"], classes=10)


@pytest.fixture(scope="module")
def cifar_costs(cifar: Supernet) -> OptionCount:
    costs = family("plain").costs(cifar)
    assert isinstance(costs, OptionCount)
    return costs


def architectures(supernet: Supernet) -> st.SearchStrategy[tuple[int, ...]]:
    return st.tuples(*(st.integers(0, count - 1) for count in supernet.space.option_counts))


def test_a_layer_has_24_options(cifar):
    assert cifar.space.size == (4 * 3 * 2) ** 20 == 24**20
    choices = {choice.name: choice for choice in cifar.space.choices}
    assert len(choices) == 60
    assert choices["layer20.filters"].options == ("24", "36", "48", "64")
    assert choices["layer20.filters"].ordered
    assert choices["layer20.kernel"].options == ("3x3", "5x5", "7x7")
    assert choices["layer20.stride"].options == ("stride1", "stride2")
    # A layer is a stage, so that candidates share the layers that they begin with.
    assert len(cifar.stages) == 20 + 2


@settings(max_examples=10)
@given(data=st.data())
def test_a_cost_is_that_of_the_network(cifar, cifar_costs, data):
    architecture = cifar.space.validate(data.draw(architectures(cifar)))
    names = cifar.space.names(architecture)
    expected = count_network(cifar.extract(architecture), (3, 32, 32))
    expected["strides"] = list(names.values()).count("stride2")
    assert cifar_costs.cost(architecture) == expected
    assert cifar_costs.many(np.array([architecture])).tolist() == [list(expected.values())]


def test_the_costs_are_counted_by_hand(small):
    names = {
        f"layer{number}.{part}": option
        for number, options in enumerate(
            [("3x3", "6", "stride2"), ("1x1", "4", "stride1"), ("3x3", "6", "stride2")], 1
        )
        for part, option in zip(("kernel", "filters", "stride"), options, strict=True)
    }
    assert plain_costs(small).cost(small.space.from_names(names)) == {
        "flops": 9 * 1 * 6 * 4**2 + 6 * 4 * 4**2 + 9 * 4 * 6 * 2**2 + 6 * 10,
        "params": 9 * 1 * 6 + 6 * 4 + 9 * 4 * 6 + 2 * (6 + 4 + 6) + 6 * 10 + 10,
        "strides": 2,
    }


@settings(max_examples=30)
@given(data=st.data(), training=st.booleans())
def test_the_subnet_is_the_path_bit_for_bit(small, data, training):
    architecture = small.space.validate(data.draw(architectures(small)))
    small.train(training)
    small.activate(architecture)
    network = small.subnet(architecture)
    inputs = torch.randn(3, 1, 8, 8)
    with torch.no_grad():
        assert torch.equal(network(inputs), small(inputs))
    assert all(type(module).__module__.startswith("torch.") for module in network.modules())
    names = small.space.names(architecture)
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    for number, layer in enumerate(convolutions, 1):
        kernel, stride = layer.kernel_size[0], layer.stride[0]
        assert names[f"layer{number}.filters"] == str(layer.out_channels)
        assert names[f"layer{number}.kernel"] == f"{kernel}x{kernel}"
        assert names[f"layer{number}.stride"] == f"stride{stride}"


def test_a_stride_of_a_single_pixel_changes_nothing():
    # 8 pixels are used up by three layers: from then on a stride of 2 is one of 1.
    layout = replace(PRESETS["tiny"], layers=5)
    supernet = plain(layout, classes=10, image_channels=1).eval()
    names = supernet.space.names([0] * len(supernet.space))
    names |= {f"layer{number}.stride": "stride2" for number in (1, 2, 3)}
    rest = {f"layer{number}.stride": "stride2" for number in (4, 5)}
    x = torch.randn(2, 1, 8, 8)
    outputs = []
    for chosen in (names, names | rest):
        supernet.activate(supernet.space.from_names(chosen))
        with torch.no_grad():
            outputs.append(supernet(x))
    assert torch.equal(*outputs)
    table = plain_costs(supernet)
    costs = [table.cost(supernet.space.from_names(chosen)) for chosen in (names, names | rest)]
    assert [cost.pop("strides") for cost in costs] == [3, 5]
    assert costs[0] == costs[1]


def test_the_strides_are_bounded_from_both_sides(cifar, cifar_costs):
    assert cifar_costs.range()["strides"] == (0, 20)
    constraint = Constraint({"strides": 4, "flops": 100e6}, {"strides": 2})
    feasible = Feasible(cifar.space, cifar_costs, constraint)
    found = feasible.draw(20, np.random.default_rng(0))
    assert len(found) == 20
    for architecture in found:
        costs = cifar_costs.cost(architecture)
        assert 2 <= costs["strides"] <= 4
        assert costs["flops"] <= 100e6
    with pytest.raises(UserError, match="min strides 21: reachable are 0 to 20"):
        Feasible(cifar.space, cifar_costs, Constraint(minimum={"strides": 21}))


def test_a_step_moves_the_slices_of_the_path_alone(small):
    before = {name: parameter.clone() for name, parameter in small.named_parameters()}
    names = dict.fromkeys((f"layer{number}.kernel" for number in (1, 2, 3)), "3x3")
    names |= {f"layer{number}.filters": "4" for number in (1, 2, 3)}
    names |= {f"layer{number}.stride": "stride2" for number in (1, 2, 3)}
    small.train().activate(small.space.from_names(names))
    optimizer = PathSGD(small.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    optimizer.zero_grad()
    F.cross_entropy(small(torch.randn(4, 1, 8, 8)), torch.arange(4)).backward()
    optimizer.step()
    moved = {
        name: (parameter != before[name]).nonzero().amax(0).tolist()
        for name, parameter in small.named_parameters()
        if not torch.equal(parameter, before[name])
    }
    assert moved["model.layers.1.0.options.1.full.weight"] == [3, 3, 2, 2]
    assert moved["model.classifier.full.weight"] == [9, 3]
    assert not any("options.0" in name for name in moved)
    with torch.no_grad():
        for name, parameter in small.named_parameters():
            parameter.copy_(before[name])


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"image_size": 0}, "layout.image_size 0"),
        ({"layers": 0}, "layout.layers 0: must be at least 1"),
        ({"filters": ()}, "layout.filters : give rising numbers of at least 1"),
        ({"filters": (8, 4)}, "layout.filters 8, 4: give rising"),
        ({"filters": (0, 4)}, "layout.filters 0, 4: give rising"),
        ({"kernels": (3, 3)}, "layout.kernels 3, 3: give rising"),
        ({"kernels": (3, 4)}, "kernel_size 4: must be odd; nearest valid: 5"),
        ({"strides": (0, 1)}, "layout.strides 0, 1: give rising"),
    ],
)
def test_a_layout_that_does_not_fit_together_is_refused(changes, says):
    with pytest.raises(UserError, match=says) as raised:
        plain(replace(LAYOUT, **changes), classes=10)
    assert "\n" not in str(raised.value)
