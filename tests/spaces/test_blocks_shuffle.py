"""The shuffle units of ShuffleNetV2."""

from __future__ import annotations

import torch

from spos.spaces.blocks.shuffle import choice_block
from spos.training.backward import fast_backward


def test_a_unit_trains_by_the_gradients_of_its_slices() -> None:
    torch.manual_seed(0)
    block = choice_block("shuffle3x3", 16, 16, 1, 8, reduction=False)
    images = torch.randn(4, 16, 6, 6).contiguous(memory_format=torch.channels_last)
    found = []
    for device in ("cpu", "meta"):
        leaf = images.detach().requires_grad_()
        block.zero_grad()
        with fast_backward(block, torch.device(device)):
            outputs = block(leaf)
            (outputs * images).sum().backward()
        found.append([outputs, leaf.grad, *(one.grad for one in block.parameters())])
    for mine, theirs in zip(*found, strict=True):
        assert torch.equal(mine, theirs)
    assert found[0][1].is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(found[0][0][:, :8], images[:, 0::2])
