"""Stages that are built alike are counted once, others are not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from torch import nn

import spos.cost.count
from spos import CostTable, OneOf, Supernet
from spos.cost import count_network
from spos.cost.part import first_identical, on_meta
from spos.nn import ElasticConv2d, Width


def convolution(affine: bool = True) -> nn.Module:
    conv = nn.Conv2d(3, 3, 3, padding=1)
    return OneOf({"conv": nn.Sequential(conv, nn.BatchNorm2d(3, affine=affine)), "skip": nn.ReLU()})


class Both(nn.Module):
    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, x):
        return self.first(x) + self.second(x)


def option(name: str, kernels: tuple[int, int]) -> OneOf:
    return OneOf({str(k): nn.Conv2d(3, 3, k, padding=k // 2) for k in kernels}, name=name)


def checked(model: nn.Module) -> list[int]:
    """Which stages are alike, once all costs have been compared with counts of networks."""
    supernet = Supernet(model, (3, 8, 8))
    table = CostTable(supernet)
    for architecture in supernet.space:
        network = supernet.extract(architecture)
        assert table.cost(architecture) == count_network(network, supernet.input_shape)
    return first_identical(on_meta(supernet))


def test_stages_of_other_choices_are_alike():
    assert checked(nn.Sequential(convolution(), convolution(), nn.ReLU(), nn.ReLU())) == [
        *(0, 0, 2, 2)
    ]


def test_norms_that_get_no_affine_parameters_back_are_not_like_others():
    assert checked(nn.Sequential(convolution(), convolution(affine=False))) == [0, 1]


def test_a_choice_shared_within_a_stage_is_not_like_two_choices():
    once = Both(option("a", (1, 3)), option("a", (1, 3)))
    twice = Both(option("b", (1, 3)), option("c", (1, 3)))
    assert checked(nn.Sequential(once, twice)) == [0, 1]


def test_the_order_of_the_choices_matters():
    first = Both(option("a", (1, 3)), option("b", (1, 3)))
    second = Both(option("b", (1, 3)), option("a", (1, 3)))
    assert checked(nn.Sequential(first, second)) == [0, 1]
    third = Both(option("c", (1, 3)), option("d", (1, 5)))
    assert checked(nn.Sequential(nn.Sequential(first), third)) == [0, 1]


def test_widths_that_two_stages_read_are_their_choices():
    widths = [Width([2, 4], name=f"width{number}") for number in range(3)]
    inputs: list[int | Width] = [3, *widths]
    layers = [ElasticConv2d(i, o, 3) for i, o in zip(inputs, widths, strict=False)]
    assert checked(nn.Sequential(*layers)) == [0, 1, 1]


class Unwritable(nn.Module):
    def __init__(self, scale: int) -> None:
        super().__init__()
        self.choice = convolution()
        self.scale: Callable[[object], object] = lambda x: x * scale

    def forward(self, x):
        return self.scale(self.choice(x))


def test_what_cannot_be_written_down_is_like_nothing_else():
    assert checked(nn.Sequential(Unwritable(1), Unwritable(1))) == [0, 1]


def test_the_supernet_stays_as_it_is():
    supernet = Supernet(nn.Sequential(convolution(), convolution()), (3, 8, 8))
    first_identical(supernet)
    assert [module.choice_name for module in supernet.model] == ["0", "1"]


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    found: list[object] = []
    original = spos.cost.count.count

    def count(*arguments):
        found.append(arguments)
        return original(*arguments)

    monkeypatch.setattr(spos.cost.count, "count", count)
    return found


def test_a_stage_is_counted_once_for_all_that_are_alike(counted: list[object]):
    CostTable(Supernet(nn.Sequential(*(convolution() for _ in range(9))), (3, 8, 8)))
    assert len(counted) == 2


def test_options_that_never_meet_are_not_tried(counted: list[object]):
    widths = [Width([2, 4, 6], name=f"width{number}") for number in range(3)]
    inputs: list[int | Width] = [3, *widths]
    layers = [ElasticConv2d(i, o, 3) for i, o in zip(inputs, widths, strict=False)]
    CostTable(Supernet(nn.Sequential(*layers), (3, 8, 8)))
    # The first layer, and 9 pairs of widths each of the others: their sides differ.
    assert len(counted) == 3 + 9 + 9
