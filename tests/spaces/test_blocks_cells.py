"""Operations and cells from genotypes."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from spos.spaces.blocks.cells import OPERATIONS, Cell, FactorizedReduction, Wiring, operation

REDUCING = [name for name in OPERATIONS if name != "none"]


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_keeps_its_shape_and_its_input(name):
    x = torch.randn(2, 4, 7, 7)
    before = x.clone()
    assert operation(name, 4, 4)(x).shape == x.shape
    assert torch.equal(x, before)


@pytest.mark.parametrize("name", REDUCING)
@pytest.mark.parametrize("side", [7, 8])
def test_an_operation_may_halve_the_sides_and_change_the_channels(name, side):
    assert operation(name, 4, 6, 2)(torch.randn(2, 4, side, side)).shape == (2, 6, 4, 4)


def test_none_gives_zeros_and_no_gradient():
    x = torch.full((1, 2, 3, 3), torch.inf, requires_grad=True)
    output = operation("none", 2, 2)(x)
    assert torch.equal(output, torch.zeros(1, 2, 3, 3))
    assert not output.requires_grad


def test_an_average_leaves_the_padding_out():
    output = operation("avg_pool_3x3", 1, 1)(torch.ones(1, 1, 4, 4))
    assert torch.equal(output, torch.ones(1, 1, 4, 4))


@pytest.mark.parametrize(
    ("name", "field"), [("sep_conv_3x3", 5), ("sep_conv_7x7", 13), ("dil_conv_3x3", 5)]
)
def test_how_far_an_operation_sees(name, field):
    x = torch.randn(1, 2, 21, 21).abs().requires_grad_()
    torch.manual_seed(0)
    operation(name, 2, 2).eval()(x)[0, :, 10, 10].sum().backward()
    assert x.grad is not None
    seen = x.grad[0].abs().sum(0).sum(0).nonzero()
    assert seen.max() - seen.min() + 1 <= field
    assert seen.min() >= 10 - field // 2


@pytest.mark.parametrize("side", [6, 7])
def test_a_factorized_reduction_reads_even_and_odd_positions(side):
    module = FactorizedReduction(3, 5).eval()
    x = torch.randn(2, 3, side, side)
    shifted = F.pad(x, (0, 1, 0, 1))[:, :, 1:, 1:]
    halves = [
        torch.einsum("bihw,oi->bohw", F.relu(part[:, :, ::2, ::2]), conv.weight[:, :, 0, 0])
        for part, conv in ((x, module.even), (shifted, module.odd))
    ]
    expected = module.norm(torch.cat(halves, dim=1))
    torch.testing.assert_close(module(x), expected)
    assert [half.shape[1] for half in halves] == [2, 3]


def test_a_cell_is_its_wiring():
    wiring = Wiring(
        (("max_pool_3x3", 1), ("skip_connect", 0), ("skip_connect", 2), ("avg_pool_3x3", 1)),
        concat=(0, 3, 2),
    )
    cell = Cell(wiring, before=4, last=6, filters=4, project=False).eval()
    before, last = torch.randn(2, 4, 5, 5), torch.randn(2, 6, 5, 5)
    kept, output = cell((before, last))
    projected = cell.last(last)
    node2 = F.max_pool2d(projected, 3, 1, 1) + before
    node3 = node2 + F.avg_pool2d(projected, 3, 1, 1, count_include_pad=False)
    assert kept is last
    assert torch.equal(output, torch.cat((before, node3, node2), dim=1))
    assert output.shape[1] == cell.channels == 12


def test_the_inputs_of_a_cell_may_differ_in_size():
    wiring = Wiring((("sep_conv_3x3", 0), ("max_pool_3x3", 1)), concat=(2,))
    cell = Cell(wiring, before=4, last=6, filters=5, stride=2, halve=True)
    assert cell((torch.randn(2, 4, 13, 13), torch.randn(2, 6, 7, 7)))[1].shape == (2, 5, 4, 4)
