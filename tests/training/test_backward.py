"""Fast backward passes compute what those of torch do."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from spos.nn import ElasticConv2d, Width
from spos.training.backward import fast_backward

CPU = torch.device("cpu")


class Seen(TorchDispatchMode):
    """Remembers the calls of an operator of torch."""

    def __init__(self, operator: Any) -> None:
        super().__init__()
        self.operator, self.calls = operator, []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function is self.operator:
            self.calls.append(args)
        return function(*args, **(kwargs or {}))


def gradients(model: nn.Module, images: Tensor, fast: bool) -> list[Tensor]:
    model.zero_grad()
    images = images.detach().requires_grad_()
    with fast_backward(model, CPU if fast else torch.device("meta")):
        outputs = model(images)
        outputs.float().square().sum().backward()
    return [outputs, images.grad, *(one.grad for one in model.parameters())]


@pytest.mark.parametrize("last", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("kernel", "padding", "size"),
    [
        (5, 2, (16, 16)),
        (7, 3, (8, 8)),
        (5, 2, (4, 4)),
        (7, 3, (3, 9)),
        (5, 0, (9, 7)),
        (5, 4, (6, 5)),
        ((3, 5), (1, 2), (6, 6)),
        (9, 4, (5, 11)),
        (4, 1, (7, 6)),
    ],
)
def test_gradients_are_those_of_torch(kernel, padding, size, bias, last) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(32, 32, kernel, padding=padding, groups=32, bias=bias)
    layer.to(memory_format=last)
    images = torch.randn(3, 32, *size).contiguous(memory_format=last)
    with Seen(torch.ops.aten.convolution_backward.default) as seen:
        found = gradients(layer, images, fast=True)
    # oneDNN computes the gradient of the weights for that of the bias as well.
    assert max(call[2].shape[3] for call in seen.calls if call[-1][1] or call[-1][2]) <= 3
    for mine, theirs in zip(found, gradients(layer, images, fast=False), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4 * theirs.abs().max().item())


def test_gradients_of_searchable_width_are_those_of_torch() -> None:
    torch.manual_seed(0)
    width = Width([16, 32, 48])
    layer = ElasticConv2d(width, width, 5, padding=2, depthwise=True)
    for channels, cut in (("16", False), ("32", True), ("48", True)):
        width.activate(channels)
        images = torch.randn(3, int(channels), 8, 8)
        with Seen(torch.ops.aten.convolution_backward.default) as seen:
            found = gradients(layer, images, fast=True)
        widest = max(call[2].shape[3] for call in seen.calls if call[-1][1] or call[-1][2])
        assert widest == (3 if cut else 5)
        for mine, theirs in zip(found, gradients(layer, images, fast=False), strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-3)


def test_gradients_of_lower_precision_and_of_weights_alone() -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(32, 32, 5, padding=2, groups=32)
    images = torch.randn(4, 32, 8, 8)
    found = []
    for device in (CPU, torch.device("meta")):
        layer.zero_grad()
        with fast_backward(layer, device), torch.autocast("cpu", torch.bfloat16):
            outputs = layer(images)
        assert outputs.dtype == torch.bfloat16
        outputs.float().square().sum().backward()
        found.append(layer.weight.grad.clone())
    assert found[0].dtype == torch.float32
    torch.testing.assert_close(*found, rtol=0.02, atol=0.02 * found[1].abs().max().item())
    layer.requires_grad_(False)
    with fast_backward(layer, CPU):
        assert not layer(images).requires_grad


def test_a_gradient_has_a_gradient() -> None:
    layer = nn.Conv2d(32, 32, 5, padding=2, groups=32, bias=False).double()
    with fast_backward(layer, CPU):
        assert torch.autograd.gradcheck(layer, torch.randn(1, 32, 3, 3).double().requires_grad_())
    layer.float()
    found = []
    images = torch.randn(2, 32, 6, 6)
    for device in (CPU, torch.device("meta")):
        with fast_backward(layer, device):
            loss = layer(images).square().sum()
            (first,) = torch.autograd.grad(loss, layer.weight, create_graph=True)
            found.append(torch.autograd.grad(first.square().sum(), layer.weight)[0])
    torch.testing.assert_close(*found, rtol=1e-3, atol=1e-3 * found[1].abs().max().item())


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(32, 32, 5, padding=2),
        nn.Conv2d(32, 32, 3, padding=1, groups=32),
        nn.Conv2d(32, 32, 5, padding=2, groups=32, stride=2),
        nn.Conv2d(32, 32, 5, padding=4, groups=32, dilation=2),
        nn.Conv2d(32, 32, 5, padding="same", groups=32),
        nn.Conv2d(32, 32, 5, padding=2, groups=32, padding_mode="reflect"),
        nn.Conv2d(32, 64, 5, padding=2, groups=32),
        nn.Conv2d(8, 8, 5, padding=2, groups=8),
    ],
)
def test_others_are_left_as_they_are(layer: nn.Conv2d) -> None:
    before = dict(vars(layer))
    with fast_backward(layer, CPU):
        assert vars(layer) == before


def test_a_model_is_as_before_afterwards() -> None:
    model = nn.Sequential(nn.Conv2d(32, 32, 5, padding=2, groups=32), nn.ReLU())
    with fast_backward(model, CPU):
        inside = copy.deepcopy(model)
    assert "_conv_forward" not in vars(model[0]) and not model[1]._forward_hooks
    # A copy that was made inside works.
    images = torch.randn(2, 32, 4, 4)
    assert torch.equal(inside(images), model(images))


@pytest.mark.parametrize("channels", [8, 96])
def test_an_activation_gets_gradients_in_the_format_of_its_output(channels: int) -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.ReLU(), nn.Hardswish()

        def forward(self, x: Tensor) -> Tensor:
            both = torch.cat((x, self.first(x)), 1)
            return self.last(both).mean((2, 3))

    torch.manual_seed(0)
    images = torch.randn(2, channels, 6, 6).contiguous(memory_format=torch.channels_last)
    with Seen(torch.ops.aten.threshold_backward.default) as first:
        found = gradients(Both(), images, fast=True)
    with Seen(torch.ops.aten.hardswish_backward.default) as last:
        gradients(Both(), images, fast=True)
    for mine, theirs in zip(found, gradients(Both(), images, fast=False), strict=True):
        assert torch.equal(mine, theirs)
    (gradient, *_), *_ = last.calls
    assert gradient.is_contiguous(memory_format=torch.channels_last)
    (gradient, *_), *_ = first.calls
    # A part of many channels is walked as fast as a copy of it.
    assert gradient.is_contiguous(memory_format=torch.channels_last) == (channels < 64)


def test_a_network_of_depthwise_convolutions_learns_the_same() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 32, 1, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(inplace=True),
        nn.Conv2d(32, 32, 5, padding=2, groups=32, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, 10),
    ).to(memory_format=torch.channels_last)
    images, targets = torch.randn(16, 3, 8, 8), torch.arange(16) % 10
    losses = []
    for device in (CPU, torch.device("meta")):
        own = copy.deepcopy(model)
        optimizer = torch.optim.SGD(own.parameters(), lr=0.1)
        with fast_backward(own, device):
            for _ in range(10):
                optimizer.zero_grad()
                loss = F.cross_entropy(own(images), targets)
                loss.backward()
                optimizer.step()
        losses.append(loss.item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-3) and losses[0] < 2.29
