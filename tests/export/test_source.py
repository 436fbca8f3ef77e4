"""Networks as Python source."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from networks import metadata
from torch import Tensor, fx, nn

from spos import UserError
from spos.export.source import load_source, python_source
from spos.spaces import SPACES


def spaces() -> list[str]:
    return [name for name, member in SPACES.items() if "tiny" in member.presets]


@pytest.mark.parametrize("space", spaces())
@pytest.mark.parametrize(("fold", "option"), [(True, 2), (False, 0)])
def test_the_source_is_the_network(
    space: str, fold: bool, option: int, graph_of: Callable[..., fx.GraphModule], pixels: Tensor
):
    graph = graph_of(space, fold=fold, option=option)
    source = python_source(graph, metadata(), "x.safetensors")
    assert "spos." not in source.split('"""', 2)[2]
    network = load_source(source)
    network.load_state_dict(graph.state_dict())
    assert torch.equal(network(pixels), graph(pixels))


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(2, 2, 3, padding=1, padding_mode="circular"),
        nn.Conv2d(2, 2, 3, padding="same", bias=False),
        nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False),
        nn.AvgPool2d(2, divisor_override=3),
        nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True),
        nn.Hardtanh(-0.5, float("inf")),
    ],
)
def test_a_layer_is_written_with_all_that_it_was_made_of(layer: nn.Module):
    graph = fx.symbolic_trace(nn.Sequential(layer))
    network = load_source(python_source(graph, metadata(), "x.safetensors"))
    network.load_state_dict(graph.state_dict())
    x = torch.randn(3, 2, 7, 7)
    assert torch.equal(network(x), graph(x))


def test_a_layer_whose_class_does_not_make_it_is_one_line():
    hooked = nn.ReLU()
    hooked.register_forward_hook(lambda module, inputs, output: 2 * output)
    for layer in (hooked, nn.utils.spectral_norm(nn.Linear(2, 2))):
        graph = fx.symbolic_trace(nn.Sequential(layer))
        with pytest.raises(
            UserError, match=r"0, .*, which has a hook or tensors of its own, cannot"
        ):
            python_source(graph, metadata(), "x.safetensors")


class Own(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x


class OwnLeaf(nn.ReLU):
    """A class that the source could not name."""


def test_a_part_that_is_not_a_module_of_torch_is_one_line():
    class Tracer(fx.Tracer):
        def is_leaf_module(self, module: nn.Module, name: str) -> bool:
            return isinstance(module, (Own, OwnLeaf)) or super().is_leaf_module(module, name)

    model = nn.Sequential(nn.Linear(2, 2), OwnLeaf())
    graph = fx.GraphModule(model, Tracer().trace(model))
    with pytest.raises(UserError, match="--format state-dict: the module 1, a OwnLeaf"):
        python_source(graph, metadata(), "x.safetensors")


def test_a_function_of_the_users_is_one_line():
    graph = fx.symbolic_trace(nn.ReLU())
    node = next(node for node in graph.graph.nodes if node.op == "placeholder")
    with graph.graph.inserting_after(node):
        graph.graph.call_function(spaces, ())
    with pytest.raises(UserError, match="--format state-dict: the function"):
        python_source(graph, metadata(), "x.safetensors")
