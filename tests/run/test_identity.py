"""Functions of the user's are told apart, alike in every process."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial

import pytest
import torch
from torch import nn

from spos import UserError
from spos.run.identity import identity


def power(base: float, exponent: float = 2) -> float:
    return base**exponent


def enclosing(exponent: int):
    def enclosed(base):
        return base**exponent

    return enclosed


class Scaled:
    def __init__(self, factor: float) -> None:
        self.factor = factor

    def __call__(self, base: float) -> float:
        return self.factor * base

    def apply(self, base: float) -> float:
        return self.factor * base


def same() -> list:
    return [
        power,
        lambda base: base,
        enclosing(2),
        partial(power, exponent=3),
        Scaled(2),
        Scaled(2).apply,
        nn.MSELoss(),
        nn.BCEWithLogitsLoss(pos_weight=torch.ones(2)),
        nn.functional.l1_loss,
        max,
    ]


def test_equal_functions_have_equal_texts_and_others_have_others():
    first, second = map(identity, same()), map(identity, same())
    texts = list(first)
    assert texts == list(second)
    assert len(set(texts)) == len(texts)
    assert texts[0].startswith("power (")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (lambda base: base + 1, lambda base: base + 2),
        (lambda base, by=1: base + by, lambda base, by=2: base + by),
        (lambda base: base in {"a", "b"}, lambda base: base in {"a", "c"}),
        (lambda base: [part + 1 for part in base], lambda base: [part + 2 for part in base]),
        (enclosing(2), enclosing(3)),
        (partial(power, exponent=2), partial(power, exponent=3)),
        (Scaled(1), Scaled(2)),
        (Scaled(1).apply, Scaled(2).apply),
        (nn.BCEWithLogitsLoss(), nn.BCEWithLogitsLoss(pos_weight=torch.ones(2))),
        (nn.HuberLoss(delta=1.0), nn.HuberLoss(delta=2.0)),
    ],
)
def test_what_a_function_holds_tells_it_apart(one, other):
    assert identity(one) != identity(other)


def test_the_text_is_the_same_in_every_process():
    code = (
        "from spos.run.identity import identity; from torch import nn\n"
        "def named(x): return x in {'a', 'b', 'c', 'd'}\n"
        "print(identity(named), identity(nn.HuberLoss()))"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(texts) == 1


def test_what_cannot_be_written_down_is_refused():
    with pytest.raises(UserError, match="cannot be written down") as error:
        identity(Scaled(open(__file__)))  # noqa: SIM115
    assert "\n" not in str(error.value)


def test_a_set_is_the_same_in_every_process():
    code = (
        "from functools import partial; from spos.run.identity import identity\n"
        "def score(outputs, targets, keep): return keep\n"
        "print(identity(partial(score, keep={'cat', 'dog', 'bird', 'fox'})))"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(told) == 1
