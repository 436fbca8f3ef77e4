"""Inverted residuals and depthwise separable convolutions."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from spos.cost import count_network
from spos.spaces.blocks.convolution import convolution
from spos.spaces.blocks.mobile import Residual, inverted_residual


@settings(max_examples=40)
@given(
    half_inputs=st.integers(1, 6),
    half_outputs=st.integers(1, 6),
    kernel=st.sampled_from([3, 5, 7]),
    expansion=st.sampled_from([1, 3, 6]),
    stride=st.sampled_from([1, 2]),
    groups=st.sampled_from([1, 2]),
    bias=st.booleans(),
    side=st.integers(1, 9),
)
def test_a_block_costs_what_its_layers_cost(
    half_inputs, half_outputs, kernel, expansion, stride, groups, bias, side
):
    inputs, outputs = 2 * half_inputs, 2 * half_outputs
    block = inverted_residual(inputs, outputs, stride, kernel, expansion, groups, bias=bias).eval()
    mid, after = inputs * expansion, (side + stride - 1) // stride
    expand = inputs * mid // groups if expansion > 1 else 0
    depthwise, project = mid * kernel**2, mid * outputs // groups
    norms = 2 * (mid * (2 if expansion > 1 else 1) + outputs)
    assert count_network(block, (inputs, side, side)) == {
        "flops": expand * side**2 + (depthwise + project) * after**2,
        "params": expand + depthwise + project + norms + bias * norms // 2,
    }
    with torch.no_grad():
        assert block(torch.zeros(2, inputs, side, side)).shape == (2, outputs, after, after)
    assert isinstance(block, Residual) == (stride == 1 and inputs == outputs)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("expansion", [1, 3])
def test_a_residual_adds_its_input_and_ends_without_activation(expansion, groups):
    block = inverted_residual(4, 4, 1, 3, expansion, groups).eval()
    assert isinstance(block, Residual)
    x = torch.randn(3, 4, 5, 5)
    before = x.clone()
    with torch.no_grad():
        output = block(x)
        assert torch.equal(x, before)
        assert torch.equal(output, x + block.main(x))
        assert (block.main(x) < 0).any()
    assert isinstance(block.main[-1], nn.BatchNorm2d)


def test_the_groups_mix():
    block = inverted_residual(4, 6, 1, 3, 3, groups=2).eval()
    # Without the shuffle, the first half of the outputs would not see the second half of the
    # inputs.
    with torch.no_grad():
        quiet = block(torch.zeros(1, 4, 3, 3))
        x = torch.zeros(1, 4, 3, 3)
        x[:, 2:] = torch.randn(1, 2, 3, 3)
        assert not torch.equal(block(x)[:, :3], quiet[:, :3])
        x[:, :2], x[:, 2:] = x[:, 2:].clone(), 0
        assert not torch.equal(block(x)[:, 3:], quiet[:, 3:])


def test_a_shuffle_stands_before_the_depthwise_convolution():
    for expansion, place in ((1, 0), (3, 3)):
        block = inverted_residual(4, 6, 2, 3, expansion, groups=2)
        assert isinstance(block, nn.Sequential)
        shuffle, depthwise = block[place], block[place + 1]
        assert isinstance(shuffle, nn.ChannelShuffle)
        assert isinstance(depthwise, nn.Conv2d) and depthwise.groups == depthwise.in_channels
    x = torch.arange(4.0).reshape(1, 4, 1, 1)
    assert nn.ChannelShuffle(2)(x).flatten().tolist() == [0, 2, 1, 3]


@pytest.mark.parametrize("activation", [nn.ReLU, nn.ReLU6])
def test_the_activation_is_the_one_given(activation):
    for block, count in (
        (inverted_residual(4, 6, 1, 3, 3, activation=activation), 2),
        (inverted_residual(4, 6, 1, 3, 1, activation=activation), 1),
    ):
        assert sum(type(module) is activation for module in block.modules()) == count
    assert len(convolution(4, 6, activation=None)) == 2
