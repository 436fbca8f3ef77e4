"""Quantised layers: the active bits are the layer, and nothing else is touched."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from spos import OneOf, Supernet, UserError
from spos.nn import BitPair, Bits, ElasticBatchNorm2d, FixedBitsConv2d, QuantisedConv2d, Width
from spos.nn.quantisers import ACTIVATIONS, WEIGHTS
from spos.training.loop import make_optimizer
from spos.training.recipe import Recipe

PAIRS = ("w1a2", "w2a2", "w3a4", "w8a8")
COMBINATIONS = [(weights, activations) for weights in WEIGHTS for activations in ACTIVATIONS]


class Mixed(nn.Module):
    """Layers that share bits, one with its own, and a width between two of them."""

    def __init__(self, weights: str, activations: str) -> None:
        super().__init__()
        self.width, self.bits = Width([3, 5, 8], name="width"), Bits(PAIRS, name="bits")
        own = Bits(("w2a3", "w4a4"), name="own")
        kinds = {"weights": weights, "activations": activations}
        self.first = QuantisedConv2d(3, self.width, 3, self.bits, 2, 1, **kinds)
        self.norm = ElasticBatchNorm2d(self.width)
        self.second = QuantisedConv2d(self.width, self.width, 3, self.bits, padding=1, **kinds)
        self.last = QuantisedConv2d(self.width, 4, 1, own, **kinds)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.first(x)))
        return self.last(F.relu(self.second(x)))


@pytest.fixture(scope="module", params=COMBINATIONS, ids="-".join)
def supernet(request: pytest.FixtureRequest) -> Supernet:
    torch.manual_seed(0)
    return Supernet(Mixed(*request.param), (3, 8, 8))


def test_the_choices_are_found_once(supernet):
    names = [choice.name for choice in supernet.space.choices]
    assert sorted(names) == ["bits", "own", "width"]


architectures = st.builds(
    lambda bits, own, width: {"bits": bits, "own": own, "width": width},
    st.sampled_from(PAIRS),
    st.sampled_from(("w2a3", "w4a4")),
    st.sampled_from(("3", "5", "8")),
)


@settings(max_examples=15)
@given(names=architectures, training=st.booleans(), last=st.booleans(), seed=st.integers(0, 99))
def test_the_active_path_is_the_extracted_network(supernet, names, training, last, seed):
    architecture = supernet.space.from_names(names)
    layout = torch.channels_last if last else torch.contiguous_format
    supernet = copy.deepcopy(supernet).train(training).to(memory_format=layout)
    supernet.activate(architecture)
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(4, 3, 8, 8, generator=generator).to(memory_format=layout)
    network = supernet.subnet(architecture)
    assert all(type(module).__module__.startswith("torch.") for module in network.modules())
    with torch.no_grad():
        assert torch.equal(network(inputs), supernet(inputs))
        extracted = supernet.extract(architecture)
        assert torch.equal(extracted(inputs), network(inputs))
    found = [module for module in extracted.modules() if isinstance(module, FixedBitsConv2d)]
    assert [str(layer.pair) for layer in found] == [names["bits"], names["bits"], names["own"]]


@settings(max_examples=10)
@given(names=architectures)
def test_no_gradient_leaves_the_path(supernet, names):
    architecture = supernet.space.from_names(names)
    supernet.activate(architecture)
    supernet.zero_grad()
    supernet(torch.rand(4, 3, 8, 8)).square().sum().backward()
    size = int(names["width"])
    used = {"first": (size, 3), "second": (size, size), "last": (4, size)}
    pairs = {"first": names["bits"], "second": names["bits"], "last": names["own"]}
    for name, parameter in supernet.model.named_parameters():
        layer, kind, *rest = name.split(".")
        if kind == "full":
            outside = torch.ones_like(parameter, dtype=torch.bool)
            outside[tuple(map(slice, used[layer]))] = False
            assert not parameter.grad[outside].any() and parameter.grad[~outside].any()
        else:
            bits = pairs[layer][1] if kind == "weight_quantisers" else pairs[layer][3]
            assert (parameter.grad is not None) == (rest[0] == bits), name


def test_a_step_moves_only_the_bits_and_the_slice_on_the_path():
    torch.manual_seed(0)
    supernet = Supernet(Mixed("lsq", "pact"), (3, 8, 8))
    recipe = Recipe(steps=1, batch_size=1, learning_rate=0.01, weight_decay=0.1)
    optimizer = make_optimizer(supernet, recipe)
    for bits, width in (("w8a8", "8"), ("w2a2", "3")):
        before = {name: p.detach().clone() for name, p in supernet.model.named_parameters()}
        supernet.activate(supernet.space.from_names({"bits": bits, "own": "w4a4", "width": width}))
        optimizer.zero_grad()
        supernet(torch.rand(4, 3, 8, 8)).square().sum().backward()
        optimizer.step()
    moved = {
        name: parameter.detach() != before[name]
        for name, parameter in supernet.model.named_parameters()
    }
    assert moved["second.full.weight"][:3, :3].any()
    assert not moved["second.full.weight"][3:].any()
    assert not moved["second.full.weight"][:, 3:].any()
    learned = {name for name, change in moved.items() if "quantiser" in name and change.any()}
    assert {name for name in learned if not name.startswith("last")} <= {
        f"{layer}.{kind}"
        for layer in ("first", "second")
        for kind in ("weight_quantisers.2.step", "activation_quantisers.2.clip")
    }
    assert "second.weight_quantisers.2.step" in learned


@pytest.mark.parametrize(("weights", "activations"), COMBINATIONS)
@pytest.mark.parametrize("pair", ["w1a2", "w2a2", "w8a8"])
def test_a_subnet_trains_and_is_saved_without_our_classes(weights, activations, pair, tmp_path):
    torch.manual_seed(0)
    kinds = {"weights": weights, "activations": activations}
    bits = Bits(PAIRS, name="bits")
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        QuantisedConv2d(8, 8, 3, bits, padding=1, **kinds),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(8 * 16, 4),
    )
    supernet = Supernet(model, (3, 4, 4))
    network = supernet.subnet([PAIRS.index(pair)])
    first = copy.deepcopy(network.state_dict())
    inputs, targets = torch.randn(32, 3, 4, 4), torch.randint(4, (32,))
    recipe = Recipe(steps=1, batch_size=1, learning_rate=0.05)
    optimizer = make_optimizer(network, recipe)
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        loss = F.cross_entropy(network(inputs), targets)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]
    learned = [name for name in first if name.endswith((".step", ".clip"))]
    assert len(learned) == (weights == "lsq") + 1
    assert all(first[name] != network.state_dict()[name] for name in learned)
    network.eval()
    for restored in (_by_state(network, supernet, pair), _whole(network, tmp_path)):
        with torch.no_grad():
            assert torch.equal(restored(inputs), network(inputs))


def _by_state(network: nn.Module, supernet: Supernet, pair: str) -> nn.Module:
    other = supernet.subnet([PAIRS.index(pair)]).eval()
    other.load_state_dict(network.state_dict())
    return other


def _whole(network: nn.Module, folder: Path) -> nn.Module:
    torch.save(network, folder / "network.pt")
    restored: nn.Module = torch.load(folder / "network.pt", weights_only=False)
    return restored


def test_a_layer_computes_with_its_levels_alone():
    torch.manual_seed(0)
    layer = FixedBitsConv2d(nn.Conv2d(4, 6, 3, padding=1, bias=False), BitPair(2, 3))
    x = torch.randn(2, 4, 5, 5)
    with torch.no_grad():
        weight, inputs = layer.weight_quantiser(layer.weight), layer.activation_quantiser(x)
        assert len(weight.unique()) <= 4 and len(inputs.unique()) <= 8
        assert torch.equal(layer(x), F.conv2d(inputs, weight, padding=1))


def test_a_fixed_layer_keeps_what_the_convolution_is():
    convolution = nn.Conv2d(4, 6, 3, 2, 2, dilation=2, groups=2, bias=False)
    layer = FixedBitsConv2d(convolution, BitPair(8, 8))
    x = torch.rand(2, 4, 9, 9)
    assert layer(x).shape == convolution(x).shape
    assert torch.allclose(layer(x), convolution(x), atol=0.1)
    assert layer.weight is convolution.weight


def test_a_choice_may_be_between_layers_of_fixed_bits():
    def layer(pair: BitPair) -> nn.Module:
        return FixedBitsConv2d(nn.Conv2d(3, 4, 1, bias=False), pair)

    options = {"coarse": layer(BitPair(1, 2)), "fine": layer(BitPair(4, 4))}
    supernet = Supernet(nn.Sequential(OneOf(options)), (3, 4, 4))
    x = torch.rand(1, 3, 4, 4)
    supernet.activate([1])
    assert torch.equal(supernet.subnet([1])(x), supernet(x))


@pytest.mark.parametrize(
    ("convolution", "says"),
    [
        (nn.Conv2d(3, 4, 3), "has no bias"),
        (nn.Conv2d(3, 4, 3, bias=False, padding_mode="circular", padding=1), "pads with zeros"),
    ],
)
def test_a_convolution_that_is_not_quantised_so_is_refused(convolution, says):
    with pytest.raises(UserError, match=says):
        FixedBitsConv2d(convolution, BitPair(2, 2))


def test_an_unknown_quantiser_is_refused():
    with pytest.raises(UserError, match=r"unknown weight quantiser 'pact': .*dorefa, lsq"):
        QuantisedConv2d(3, 4, 3, Bits(PAIRS), weights="pact")
    with pytest.raises(UserError, match="unknown activation quantiser 'lsqq': did you mean 'lsq'"):
        FixedBitsConv2d(nn.Conv2d(3, 4, 3, bias=False), BitPair(2, 2), activations="lsqq")
