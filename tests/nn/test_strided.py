"""A convolution whose stride is searched."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from spos import CostTable, Supernet, UserError
from spos.cost import count_network
from spos.nn import Stride, StridedConv2d, Width
from spos.nn.region import region


@given(
    kernel=st.sampled_from([1, 3, 5]),
    stride=st.sampled_from([1, 2, 3]),
    side=st.integers(1, 9),
    width=st.sampled_from([4, 6]),
)
def test_it_is_the_convolution_of_its_options(kernel, stride, side, width):
    strides, widths = Stride([1, 2, 3]), Width([4, 6])
    strides.activate(f"stride{stride}")
    widths.activate(str(width))
    layer = StridedConv2d(3, widths, kernel, strides)
    x = torch.randn(2, 3, side, side)
    weight, bias = layer.full.weight[:width], layer.full.bias[:width]
    output = layer(x)
    assert torch.equal(output, F.conv2d(x, weight, bias, stride, kernel // 2))
    assert output.shape[2:] == (-(-side // stride),) * 2
    assert region(layer.full.weight) == (width, 3)


@pytest.mark.parametrize("option", [0, 1])
def test_a_network_has_a_convolution_of_torch(option):
    stride = Stride([1, 2], name="stride")
    supernet = Supernet(nn.Sequential(StridedConv2d(3, 4, 3, stride, bias=False)), (3, 8, 8))
    assert [choice.options for choice in supernet.space.choices] == [("stride1", "stride2")]
    network = supernet.subnet([option])
    (layer,) = (m for m in network.modules() if isinstance(m, nn.Conv2d))
    assert layer.stride == (option + 1,) * 2
    supernet.activate([option])
    x = torch.randn(2, 3, 8, 8)
    assert torch.equal(network(x), supernet(x))
    assert CostTable(supernet).cost([option]) == count_network(network, (3, 8, 8))


def test_wrong_sizes_are_refused():
    with pytest.raises(UserError, match="strides 0, 1: each must be at least 1"):
        Stride([0, 1])
    with pytest.raises(UserError, match="no option"):
        Stride([])
    with pytest.raises(UserError, match="kernel_size 4: must be odd; nearest valid: 5"):
        StridedConv2d(3, 4, 4, Stride([1, 2]))
