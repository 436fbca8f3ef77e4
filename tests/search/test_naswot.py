"""An untrained network has a higher score, the better it tells images apart."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spos import Architecture, OneOf, Supernet, UserError
from spos.search.naswot import Naswot


class Activated(nn.Module):
    """A convolution and an activation that is called as a function."""

    def __init__(self, channels: int, activation: str = "relu") -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, channels, 3, padding=1)
        self.activation = getattr(F, activation)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.activation(self.convolution(inputs))


def images(count: int = 8) -> Tensor:
    return torch.randn(count, 3, 6, 6, generator=torch.Generator().manual_seed(0))


def supernet_of(**options: nn.Module) -> Supernet:
    torch.manual_seed(0)
    return Supernet(OneOf(options), input_shape=(3, 6, 6))


def test_it_is_the_log_determinant_of_the_units_that_agree() -> None:
    module = nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.ReLU())
    score = Naswot(supernet_of(a=module, b=nn.Conv2d(3, 5, 3)), images())(Architecture([0]))
    convolution = module[0]
    codes = (nn.BatchNorm2d(5).train()(convolution(images())) > 0).flatten(1).numpy()
    agreeing = (codes[:, None] == codes[None]).sum(2) + np.eye(len(codes))
    assert score == pytest.approx(np.linalg.slogdet(agreeing).logabsdet, rel=1e-6)


@pytest.mark.parametrize("activation", ["relu", "relu6", "silu", "hardswish", "gelu"])
def test_functions_count_as_modules_do(activation: str) -> None:
    supernet = supernet_of(few=Activated(2, activation), many=Activated(32, activation))
    score = Naswot(supernet, images())
    assert score(Architecture([0])) < score(Architecture([1]))


def test_an_activation_with_weights_counts() -> None:
    activated = [nn.Sequential(nn.Conv2d(3, 4, 3), one) for one in (nn.ReLU(), nn.PReLU())]
    activated[1][0] = activated[0][0]
    score = Naswot(supernet_of(relu=activated[0], prelu=activated[1]), images())
    assert score(Architecture([0])) == score(Architecture([1]))


def test_in_place_activations_count_before_they_change_anything() -> None:
    plain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    supernet = supernet_of(plain=plain, in_place=nn.Sequential(plain[0], nn.ReLU(inplace=True)))
    score = Naswot(supernet, images())
    assert score(Architecture([0])) == score(Architecture([1]))


def test_equal_images_have_a_score() -> None:
    score = Naswot(supernet_of(a=Activated(4), b=Activated(8)), torch.ones(4, 3, 6, 6))
    assert math.isfinite(score(Architecture([0])))


def test_it_repeats_itself_whatever_came_between() -> None:
    options = {
        name: nn.Sequential(nn.Dropout(0.5), Activated(n)) for name, n in (("a", 3), ("b", 4))
    }
    score = Naswot(supernet_of(**options), images())
    first = score(Architecture([0]))
    assert score(Architecture([1])) != first == score(Architecture([0]))


def test_without_an_activation_there_is_no_score() -> None:
    score = Naswot(supernet_of(a=nn.Conv2d(3, 4, 3), b=nn.Conv2d(3, 4, 1)), images())
    with pytest.raises(UserError, match=r"^search\.naswot_weight: the network has no activation"):
        score(Architecture([0]))
