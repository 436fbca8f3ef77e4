"""Copies of modules."""

from __future__ import annotations

import copy
import threading

import pytest
import torch
from torch import nn

from spos import UserError
from spos.nn.copying import check_copies, copy_module


class Tied(nn.Module):
    """Modules and weights that occur twice, a list of modules, and layers of several kinds."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True))
        self.again = self.first
        self.linear, self.tied = nn.Linear(4, 4), nn.Linear(4, 4)
        self.tied.weight = self.linear.weight
        self.memory = nn.LSTM(4, 4)
        self.upsample = nn.Upsample(scale_factor=2)
        self.known = [self.linear]
        self.first.register_forward_hook(_notice)


def _notice(module: nn.Module, given: object, output: object) -> None:
    module.noticed = True  # type: ignore[assignment]


@pytest.mark.parametrize(
    "make", [Tied, lambda: nn.Sequential(nn.Linear(2, 3)), lambda: nn.LSTM(2, 3)]
)
def test_a_copy_is_what_deepcopy_gives(make):
    module = make()
    made, expected = copy_module(module, {}), copy.deepcopy(module)
    assert repr(made) == repr(expected) and made.training == expected.training
    for ours, theirs in zip(made.modules(), expected.modules(), strict=True):
        assert type(ours) is type(theirs) and vars(ours).keys() == vars(theirs).keys()
        assert len(ours._forward_hooks) == len(theirs._forward_hooks)
    known = {id(tensor) for tensor in module.state_dict(keep_vars=True).values()}
    for name, value in made.state_dict(keep_vars=True).items():
        assert torch.equal(value, expected.state_dict()[name]) and id(value) not in known


@pytest.mark.parametrize("hook", ["register_hook", "register_post_accumulate_grad_hook"])
def test_a_hook_on_a_gradient_is_refused(hook: str) -> None:
    module = nn.Sequential(nn.ReLU(), nn.Linear(2, 2))
    check_copies(module)
    getattr(module[1].weight, hook)(lambda given: None)
    with pytest.raises(UserError, match=r"parameter '1\.weight' has a hook on its gradient"):
        check_copies(module)


def test_what_is_shared_stays_shared_and_what_is_replaced_is_taken():
    module = Tied()
    replaced = nn.Identity()
    made = copy_module(module, {id(module.first): replaced})
    assert made.first is made.again is replaced
    assert made.tied.weight is made.linear.weight is not module.linear.weight
    assert made.known == [made.linear]
    # The parts of a recurrent layer refer to each other.
    made.memory(torch.zeros(2, 1, 4))[0].sum().backward()
    assert made.memory.weight_ih_l0.grad is not None and module.memory.weight_ih_l0.grad is None


def test_a_copy_has_the_hooks_of_the_module_and_none_that_come_later():
    module = Tied()
    made = copy_module(module, {})
    made.first(torch.zeros(1, 3, 5, 5))
    assert made.first.noticed and not hasattr(module.first, "noticed")
    made.linear.register_forward_hook(_notice)
    module.linear(torch.zeros(1, 4))
    assert not hasattr(module.linear, "noticed")


@pytest.mark.parametrize(
    ("kept", "says"),
    [
        (lambda: threading.Lock(), r"TypeError: cannot pickle '_thread.lock' object"),
        # As of a forward that keeps what it has computed.
        (lambda: nn.Linear(2, 2)(torch.ones(2)), "RuntimeError: Only Tensors created explicitly"),
    ],
)
def test_what_cannot_be_copied_is_named(kept, says):
    module = nn.Sequential(nn.Linear(2, 2))
    module.kept = kept()
    with pytest.raises(UserError, match=rf"Sequential cannot be copied \({says}.* keep locks"):
        copy_module(module, {})


class Counting(nn.Linear):
    def get_extra_state(self):
        return {"count": 1}


def test_a_state_that_checkpoints_do_not_hold_is_refused():
    with pytest.raises(
        UserError, match="0 has a get_extra_state, but checkpoints hold only tensors"
    ):
        check_copies(nn.Sequential(Counting(2, 2)))
