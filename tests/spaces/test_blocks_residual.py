"""The basic block of residual networks."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from spos.nn import ElasticConv2d, Width
from spos.spaces.blocks.convolution import Size
from spos.spaces.blocks.residual import basic_block


def convolution(name: str, inputs: Size, outputs: Size, kernel: int, stride: int) -> nn.Module:
    return ElasticConv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)


@pytest.mark.parametrize(
    ("inputs", "outputs", "stride", "projected"),
    [(8, 8, 1, False), (8, 12, 1, True), (8, 8, 2, True), (8, 16, 2, True)],
)
def test_a_shortcut_is_projected_where_shapes_differ(inputs, outputs, stride, projected):
    names: list[str] = []

    def noted(name: str, *sizes: int) -> nn.Module:
        names.append(name)
        return convolution(name, *sizes)

    block = basic_block(inputs, outputs, stride, outputs, noted).eval()
    x = torch.randn(2, inputs, 6, 6)
    with torch.no_grad():
        output = block(x)
        expected = torch.relu(block.main(x) + (block.shortcut(x) if projected else x))
    assert torch.equal(output, expected)
    assert output.shape == (2, outputs, 6 // stride, 6 // stride)
    assert names == ["conv1", "conv2"] + ["shortcut"] * projected


def test_the_input_stays_as_it_is():
    block = basic_block(4, 4, 1, 4, convolution)
    x = torch.randn(2, 4, 5, 5)
    before = x.clone()
    block(x)
    assert torch.equal(x, before)


def test_the_channels_between_the_convolutions_may_be_searched():
    mid = Width([2, 4])
    block = basic_block(4, 4, 1, mid, convolution)
    shapes = []
    block.main[0].register_forward_hook(lambda module, inputs, output: shapes.append(output.shape))
    for option in ("2", "4"):
        mid.activate(option)
        assert block(torch.randn(2, 4, 5, 5)).shape == (2, 4, 5, 5)
    assert [shape[1] for shape in shapes] == [2, 4]
