"""Networks made ready for a file."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from networks import metadata, network_of, settle_statistics
from torch import Tensor, fx, nn

from spos import UserError
from spos.data import evaluation_batches, load_data
from spos.export.deployed import Deployed, deploy, fold_batch_norms, rounds


def count(graph: nn.Module, kind: type[nn.Module]) -> int:
    return sum(isinstance(module, kind) for module in graph.modules())


def test_normalisation_is_that_of_evaluation_to_the_bit():
    data = load_data("digits")
    facts = metadata(mean=data.mean, std=data.std)
    (inputs, _), *_ = evaluation_batches(data, data.validation, batch_size=64, device="cpu")
    pixels = data.validation.pixels(range(64))
    assert torch.equal(Deployed(nn.Identity(), facts)(pixels), inputs)


@pytest.mark.parametrize("space", ["shufflenetv2", "fbnet", "proxylessnas", "plain"])
def test_folding_is_exact_but_for_rounding(space: str, pixels: Tensor):
    kept = deploy(network_of(space), metadata(), fold=False)
    folded = fold_batch_norms(copy.deepcopy(kept).double())
    inputs = pixels.double()
    # In float64 what is left of a difference is not rounding but another network.
    for graph in (kept.double(), folded):
        for node in graph.graph.nodes:
            if node.op == "call_method" and node.target == "to":
                node.args = (node.args[0], torch.float64)
        graph.recompile()
    before = copy.deepcopy(kept)
    torch.testing.assert_close(folded(inputs), kept(inputs), rtol=1e-10, atol=1e-10)
    assert torch.equal(before(inputs), kept(inputs))
    assert count(kept, nn.BatchNorm2d) > count(folded, nn.BatchNorm2d) == 0


def test_quantised_convolutions_keep_their_batch_norms(graph_of: Callable[..., fx.GraphModule]):
    kept, folded = (graph_of("resnet-bits", fold=fold) for fold in (False, True))
    assert 0 < count(folded, nn.BatchNorm2d) < count(kept, nn.BatchNorm2d)
    assert rounds(folded) and not rounds(graph_of("shufflenetv2"))


class Twice(nn.Module):
    """A convolution and a batch norm that run at two places."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = nn.Conv2d(2, 2, 1), nn.Conv2d(2, 2, 1)
        self.norm, self.second = nn.BatchNorm2d(2), nn.BatchNorm2d(2)
        self.last, self.third = nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.one(x))
        x = self.norm(self.other(x)) + self.second(self.one(x))
        x = self.last(x)
        return x + self.third(x)


def test_modules_that_others_use_too_are_not_folded():
    graph = fx.symbolic_trace(settle_statistics(Twice()))
    folded = fold_batch_norms(graph)
    x = torch.rand(3, 2, 4, 4)
    assert torch.equal(folded(x), graph(x))
    assert count(folded, nn.BatchNorm2d) == 3


def hooked() -> nn.Module:
    norm = nn.BatchNorm2d(2)
    norm.register_forward_hook(lambda module, inputs, output: 2 * output)
    return nn.Sequential(nn.Conv2d(2, 2, 1), norm)


class Tied(nn.Module):
    """A weight that is used by its layer and by a function."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.norm = nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.conv2d(self.norm(self.layer(x)), self.layer.weight)


def of_batch() -> nn.Module:
    return nn.Sequential(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2, track_running_stats=False))


@pytest.mark.parametrize("make", [hooked, Tied, of_batch])
def test_a_batch_norm_that_folding_would_change_stays(make: Callable[[], nn.Module]):
    graph = fx.symbolic_trace(make()).eval()
    folded = fold_batch_norms(graph)
    x = torch.rand(3, 2, 4, 4)
    assert torch.equal(folded(x), graph(x))
    assert count(folded, nn.BatchNorm2d) == 1


def test_a_forward_that_is_not_a_graph_is_one_line():
    class Branching(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(UserError, match="cannot be written as one graph"):
        deploy(Branching(), metadata())
