"""A choice between modules."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from spos import OneOf, UserError


@pytest.fixture
def layer() -> OneOf:
    torch.manual_seed(0)
    return OneOf({"linear": nn.Linear(4, 4), "skip": nn.Identity(), "wide": nn.Linear(4, 8)})


def test_only_the_active_option_runs_and_gets_gradients(layer):
    x = torch.randn(2, 4)
    for number, option in enumerate(layer.options):
        layer.zero_grad(set_to_none=True)
        layer.activate(number)
        output = layer(x)
        assert torch.equal(output, option(x))
        if output.requires_grad:
            output.sum().backward()
        with_gradient = {name for name, p in layer.named_parameters() if p.grad is not None}
        assert with_gradient == {f"options.{number}.{n}" for n, _ in option.named_parameters()}


def test_an_option_is_activated_by_index_or_name(layer):
    layer.activate("wide")
    assert layer.active == 2
    layer.activate(0)
    assert layer.active == 0
    assert "active=linear" in repr(layer)


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("wid", "did you mean 'wide'? allowed: linear, skip, wide"),
        (3, "has no option 3: allowed: 0 to 2"),
        (-1, "has no option -1: allowed: 0 to 2"),
    ],
)
def test_an_unknown_option_is_refused_and_changes_nothing(layer, option, says):
    layer.activate(1)
    with pytest.raises(UserError) as raised:
        layer.activate(option)
    assert says in str(raised.value)
    assert layer.active == 1


def test_a_choice_needs_an_option():
    with pytest.raises(UserError, match="has no option"):
        OneOf({})


def test_arguments_of_every_kind_reach_the_active_option():
    class Scale(nn.Module):
        def forward(self, x: torch.Tensor, *, by: float) -> torch.Tensor:
            return x * by

    layer = OneOf({"scale": Scale()})
    assert layer(torch.ones(1), by=3.0).item() == 3
