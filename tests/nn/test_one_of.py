"""A choice between modules."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
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
        (1.5, "has no option 1.5: allowed: 0 to 2"),
        (None, "has no option None: allowed: 0 to 2"),
    ],
)
def test_an_unknown_option_is_refused_and_changes_nothing(layer, option, says):
    layer.activate(1)
    with pytest.raises(UserError) as raised:
        layer.activate(option)
    assert says in str(raised.value)
    assert layer.active == 1


@pytest.mark.parametrize("names", [("a\n", "block"), ("a", "\x1b[31mblock")])
def test_names_can_be_printed(names):
    option, name = names
    with pytest.raises(UserError, match=r"choice '.*': '.*\\x.*' is no name, it cannot be printed"):
        OneOf({option: nn.Identity()}, name=name)


@pytest.mark.parametrize("options", [[nn.Identity(), nn.Identity()], {"a": nn.Identity}, None])
def test_options_are_modules_by_name(options):
    with pytest.raises(UserError, match="allowed are modules by name, such as"):
        OneOf(options)


def test_a_choice_needs_an_option():
    with pytest.raises(UserError, match="has no option"):
        OneOf({})


def test_arguments_of_every_kind_reach_the_active_option():
    class Scale(nn.Module):
        def forward(self, x: torch.Tensor, *, by: float) -> torch.Tensor:
            return x * by

    layer = OneOf({"scale": Scale()})
    assert layer(torch.ones(1), by=3.0).item() == 3


# Mixed


def mixed(layer: OneOf, *weights: tuple[int, float]) -> None:
    layer.mixture = [(index, torch.tensor(weight)) for index, weight in weights]


@given(
    option=st.integers(0, 2),
    others=st.booleans(),
    seed=st.integers(0, 9),
)
def test_a_mixture_of_one_option_is_that_option_bit_for_bit(option, others, seed):
    torch.manual_seed(seed)
    layer = OneOf({"a": nn.Linear(5, 5), "b": nn.Linear(5, 5), "skip": nn.Identity()})
    x = torch.randn(3, 5)
    layer.activate(option)
    alone = layer(x)
    mixed(layer, *((i, float(i == option)) for i in range(3) if others or i == option))
    assert torch.equal(layer(x), alone)
    layer.mixture = None
    assert torch.equal(layer(x), alone)


def test_a_mixture_is_the_weighted_sum_and_all_of_it_has_gradients(layer):
    x = torch.randn(2, 4)
    weights = torch.tensor([0.25, 0.75], requires_grad=True)
    layer.mixture = list(enumerate(weights))
    output = layer(x)
    torch.testing.assert_close(output, 0.25 * layer.options[0](x) + 0.75 * x)
    output.sum().backward()
    torch.testing.assert_close(weights.grad, torch.stack([layer.options[0](x).sum(), x.sum()]))
    named = {name for name, p in layer.named_parameters() if p.grad is not None}
    assert named == {"options.0.weight", "options.0.bias"}


def test_options_of_different_shapes_are_not_mixed(layer):
    layer.choice_name = "stem"
    mixed(layer, (0, 0.5), (2, 0.5))
    with pytest.raises(UserError) as raised:
        layer(torch.randn(2, 4))
    assert str(raised.value) == (
        "option 'wide' of choice 'stem' gives the shape [2, 8], the one before it [2, 4]: options "
        "that are mixed have to give one shape"
    )


def test_options_that_give_no_tensor_are_not_mixed():
    class Pair(nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return x, x

    layer = OneOf({"pair": Pair(), "skip": nn.Identity()}, name="stem")
    mixed(layer, (0, 0.5), (1, 0.5))
    with pytest.raises(UserError, match="gives a tuple"):
        layer(torch.ones(1))


def test_options_that_change_their_input_are_not_mixed():
    layer = OneOf({"skip": nn.Identity(), "relu": nn.ReLU(inplace=True)}, name="stem")
    mixed(layer, (0, 0.5), (1, 0.5))
    with pytest.raises(UserError, match="option 'relu' of choice 'stem' changes its input"):
        layer(torch.ones(2))
