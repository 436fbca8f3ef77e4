"""Models as graphs of torch modules."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor, nn

from spos import OneOf, Supernet, UserError
from spos.cost.count import count_peak_memory
from spos.cost.part import on_meta
from spos.search.folding import foldable


def choice() -> OneOf:
    return OneOf({"linear": nn.Linear(4, 4), "skip": nn.Identity()})


class Optional(nn.Module):
    """A forward with arguments that a run never gives."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = choice()

    def forward(
        self, x: Tensor, mask: Tensor | None = None, *rest: Tensor, features: bool = False
    ) -> Tensor:
        x = self.layer(x if mask is None else x * mask)
        return x.mean() if features else x


def test_optional_arguments_of_a_forward_are_left_out():
    supernet = Supernet(Optional(), (4,)).eval()
    x = torch.ones(2, 4)
    assert torch.equal(supernet.subnet([0])(x), supernet(x))
    meta = on_meta(supernet.subnet([0]))
    assert count_peak_memory(meta, torch.empty(1, 4, device="meta"))[0] == 32


def test_what_an_optional_argument_changes_is_not_folded():
    class Normalised(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.norm = nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2)

        def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
            x = self.layer(x)
            return x if mask is None else self.norm(x) * mask

    assert foldable(Normalised()) == ()


def test_threads_trace_and_run_models_at_the_same_time():
    def block() -> nn.Module:
        return nn.Sequential(nn.Conv2d(3, 3, 1), nn.Sequential(nn.BatchNorm2d(3), nn.ReLU()))

    def work(_: int) -> None:
        model = nn.Sequential(*(OneOf({"a": block(), "b": block()}) for _ in range(4)))
        supernet, x = Supernet(model, (3, 4, 4)).eval(), torch.ones(1, 3, 4, 4)
        for _ in range(5):
            assert torch.equal(supernet.subnet([0, 1, 0, 1])(x), supernet.extract([0, 1, 0, 1])(x))

    called = nn.Module.__call__
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(4)))
    assert nn.Module.__call__ is called


class Making(nn.Module):
    """A forward that makes a tensor."""

    def __init__(self, made: str) -> None:
        super().__init__()
        self.layer, self.made = choice(), made

    def forward(self, x: Tensor) -> Tensor:
        numbers = {
            "constant": lambda: torch.arange(4),
            "random": lambda: torch.rand(4),
            "of the mode": lambda: torch.tensor(1.0 if self.training else 2.0),
        }
        return self.layer(x) + numbers[self.made]()


def test_a_forward_may_make_a_constant_tensor():
    supernet = Supernet(Making("constant"), (4,)).eval()
    x = torch.ones(2, 4)
    assert torch.equal(supernet.subnet([0])(x), supernet(x))


@pytest.mark.parametrize("made", ["random", "of the mode"])
def test_a_tensor_that_is_another_each_time_is_no_constant(made: str):
    with pytest.raises(UserError, match="another tensor each time, or something else in training"):
        Supernet(Making(made), (4,)).subnet([0])
