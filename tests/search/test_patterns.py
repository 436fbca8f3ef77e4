"""An untrained network has a higher score, the more patterns its units have."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from spos import Architecture, OneOf, Supernet, UserError
from spos.search.activations import Untrained
from spos.search.naswot import Naswot
from spos.search.patterns import LARGEST, SMALLEST, Patterns


def images(count: int = 16) -> Tensor:
    return torch.randn(count, 3, 6, 6, generator=torch.Generator().manual_seed(0))


def activated(channels: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, channels, 3), nn.BatchNorm2d(channels), nn.ReLU())


def supernet_of(**options: nn.Module) -> Supernet:
    torch.manual_seed(0)
    return Supernet(OneOf(options), input_shape=(3, 6, 6))


@given(count=st.integers(5, 30), channels=st.integers(1, 12))
def test_it_counts_the_distinct_columns_of_each_group_of_images(count: int, channels: int) -> None:
    module = nn.Sequential(activated(channels), nn.Conv2d(channels, 7, 2), nn.ReLU())
    score = Patterns(supernet_of(a=module, b=nn.ReLU()), images(count))
    norm = nn.BatchNorm2d(channels).train()
    first = norm(module[0][0](images(count)))
    signs = [(one > 0).flatten(1) for one in (first, module[1](first.relu()))]
    codes = torch.cat(signs, 1)
    groups = [
        codes[start : start + score.images]
        for start in range(0, count - score.images + 1, score.images)
    ]
    expected = sum(len(torch.unique(group, dim=1)[0]) for group in groups)
    assert score(Architecture([0])) == expected


@pytest.mark.parametrize(("channels", "expected"), [(1, SMALLEST), (64, 7), (512, 10)])
def test_larger_networks_have_larger_groups(channels: int, expected: int) -> None:
    """16 units a channel; one network in two has no other."""
    score = Patterns(supernet_of(a=activated(channels), b=activated(channels)), images())
    assert score.images == expected <= LARGEST


def test_a_group_is_no_larger_than_the_batch() -> None:
    score = Patterns(supernet_of(a=activated(2), b=activated(4)), images(3))
    assert score.images == 3
    assert score(Architecture([0])) <= score(Architecture([1])) <= 2**3


def test_more_units_have_more_patterns() -> None:
    score = Patterns(supernet_of(few=activated(2), many=activated(64)), images())
    assert score(Architecture([0])) < score(Architecture([1])) == score(Architecture([1]))


class Tokens(nn.Module):
    """An activation of each image, and one whose rows are parts of images."""

    def __init__(self, apart: bool) -> None:
        super().__init__()
        self.apart = apart

    def forward(self, inputs: Tensor) -> Tensor:
        outputs = F.relu(input=inputs - 0.1)
        return F.relu(outputs.flatten(0, 1)).view_as(outputs) if self.apart else outputs


@pytest.mark.parametrize("kind", [Patterns, Naswot])
def test_activations_without_a_row_for_each_image_are_left_out(kind: type[Untrained]) -> None:
    score = kind(supernet_of(whole=Tokens(False), apart=Tokens(True)), images())
    assert score(Architecture([0])) == score(Architecture([1])) > 0


def test_without_an_activation_there_is_no_score() -> None:
    score = Patterns(supernet_of(a=nn.Conv2d(3, 4, 3), b=nn.Conv2d(3, 4, 1)), images())
    with pytest.raises(UserError, match=r"^search\.patterns_weight: the network has no activation"):
        score.check()
