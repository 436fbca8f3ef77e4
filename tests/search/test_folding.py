"""Folding of batch norms: the outputs are the same, and what cannot be folded stays."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from spos import Supernet
from spos.search.folding import fold, foldable


def trained(module: nn.Module) -> nn.Module:
    """A module whose batch norms have statistics and affine parameters of their own."""
    generator = torch.Generator().manual_seed(0)
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            for tensor in (part.running_mean, part.running_var, part.weight, part.bias):
                if tensor is not None:
                    tensor.data.uniform_(0.5, 1.5, generator=generator)
    return module.eval()


def check(module: nn.Module, inputs: Tensor, count: int) -> None:
    trained(module)
    with torch.no_grad():
        before = module(inputs)
        pairs = foldable(module)
        fold(module, pairs)
        assert len(pairs) == count
        torch.testing.assert_close(module(inputs), before, rtol=1e-4, atol=1e-5)
    norms = [one for one in module.modules() if isinstance(one, nn.modules.batchnorm._BatchNorm)]
    assert len([one for one in norms if "forward" in vars(one)]) == count
    assert len(norms) == count or not count


IMAGES = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("affine", [True, False])
def test_a_folded_convolution_has_the_same_outputs(bias: bool, affine: bool):
    def norm() -> nn.BatchNorm2d:
        return nn.BatchNorm2d(6, affine=affine)

    depthwise = nn.Conv2d(6, 6, 3, groups=6, bias=bias)
    model = nn.Sequential(nn.Conv2d(3, 6, 3, 2, bias=bias), norm(), nn.ReLU(), depthwise, norm())
    check(model, IMAGES, 2)


def test_linear_layers_keep_their_batch_norms():
    # Of tokens, a batch norm counts the tokens as channels.
    tokens = nn.Sequential(nn.Flatten(2), nn.Linear(64, 5), nn.BatchNorm1d(3))
    check(tokens, IMAGES, 0)
    features = (nn.Flatten(), nn.Linear(192, 4), nn.BatchNorm1d(4, affine=False))
    check(nn.Sequential(*features), IMAGES, 0)
    convolution = (nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, affine=False))
    check(nn.Sequential(*convolution), IMAGES, 1)


def test_the_memory_format_of_the_weights_stays():
    model = nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6)).to(
        memory_format=torch.channels_last  # type: ignore[call-overload]
    )
    fold(trained(model), foldable(model))
    assert model[0].weight.is_contiguous(memory_format=torch.channels_last)


class Named(nn.Module):
    """A block that keeps its batch norm under a second name."""

    def __init__(self, first: bool):
        super().__init__()
        norm = nn.BatchNorm2d(8)
        if first:
            self.norm = norm
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3), norm, nn.ReLU())
        self.last = norm

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


@pytest.mark.parametrize("first", [True, False])
def test_a_batch_norm_with_several_names_is_folded_once(first: bool):
    check(Named(first), torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)), 1)


class Sized(Named):
    def forward(self, x: Tensor) -> Tensor:
        return self.body(x) / self.last.num_features + self.last.running_var.mean()


def test_a_folded_batch_norm_is_read_by_the_forward():
    check(Sized(first=True), IMAGES, 1)


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(self.norm(self.conv(x))))


class Read(Twice):
    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return x + self.norm(x)


class Untraceable(Twice):
    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x)) if x.sum() > 0 else x


class Noisy(nn.Conv2d):
    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input).abs()


class Tied(Twice):
    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.conv2d(self.norm(self.conv(x)), self.conv.weight)


def hooked() -> nn.Module:
    model = nn.Sequential(nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3))
    model[0].register_forward_hook(lambda module, inputs, output: output.abs())
    return model


@pytest.mark.parametrize(
    "make",
    [
        Twice,
        Read,
        Tied,
        Untraceable,
        hooked,
        lambda: nn.Sequential(Noisy(3, 3, 3), nn.BatchNorm2d(3)),
        lambda: nn.Sequential(weight_norm(nn.Conv2d(3, 3, 3)), nn.BatchNorm2d(3)),
        lambda: nn.Sequential(nn.Conv2d(3, 3, 3), nn.ReLU(), nn.BatchNorm2d(3)),
        lambda: nn.Sequential(nn.Conv2d(3, 3, 3), nn.InstanceNorm2d(3)),
        lambda: nn.Sequential(nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3, track_running_stats=False)),
    ],
)
def test_what_cannot_be_folded_stays(make: Callable[[], nn.Module]):
    assert foldable(make()) == ()


def test_most_batch_norms_of_a_space_are_folded(supernet_of: Callable[[str], Supernet]):
    supernet = supernet_of("small")
    network = supernet.extract([0] * len(supernet.space))
    norms = [one for one in network.modules() if isinstance(one, nn.BatchNorm2d)]
    assert len(foldable(network)) == len(norms) > 0
