"""Functions of the user's are compared by name and source, alike in every process."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from spos import Task
from spos.run.task import identity


def power(base: float, exponent: float = 2) -> float:
    return base**exponent


def root(base: float, exponent: float = 2) -> float:
    return base ** (1 / exponent)


class Scaled:
    def __init__(self, factor: float) -> None:
        self.factor = factor

    def __call__(self, base: float) -> float:
        return self.factor * base

    def apply(self, base: float) -> float:
        return self.factor * base


class Weighted(nn.Module):
    """A loss whose numbers are held by what it contains."""

    def __init__(self, smoothing: float) -> None:
        super().__init__()
        self.inner = nn.CrossEntropyLoss(label_smoothing=smoothing)


def same() -> list:
    return [
        power,
        root,
        partial(power, exponent=3),
        partial(power, 3),
        partial(power, exponent=4),
        Scaled(2),
        Scaled(3),
        Scaled(2).apply,
        nn.MSELoss(),
        nn.HuberLoss(delta=1.0),
        nn.HuberLoss(delta=2.0),
        nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0])),
        nn.CrossEntropyLoss(weight=torch.tensor([1.0, 5.0])),
        Weighted(0.1),
        Weighted(0.2),
        partial(power, exponent=[1, 2]),
        partial(power, exponent=[1, 3]),
        nn.functional.l1_loss,
        max,
        torch.add,
    ]


def test_equal_functions_have_equal_texts_and_others_have_others():
    texts, again = list(map(identity, same())), list(map(identity, same()))
    assert texts == again
    assert len(set(texts)) == len(texts)
    assert texts[0].startswith("power (")


def of_module(folder: Path, body: str, before: str = "") -> str:
    """The identity of a metric in a module of its own, in a process of its own."""
    text = f"{before}def score(outputs, targets):\n    return {body}\n"
    (folder / "own_metric.py").write_text(text)
    code = "from own_metric import score; from spos.run.task import identity"
    told = subprocess.run(
        [sys.executable, "-B", "-c", f"{code}; print(identity(score))"],
        env={**os.environ, "PYTHONPATH": f"{folder}:{os.environ.get('PYTHONPATH', '')}"},
        capture_output=True,
        text=True,
        check=True,
    )
    return told.stdout


def test_a_changed_source_is_another_function(tmp_path: Path):
    first = of_module(tmp_path, "{'a', 'b', 'c'}")
    assert of_module(tmp_path, "{'a', 'b', 'c'}") == first
    assert of_module(tmp_path, "{'a', 'b'}") != first


@pytest.mark.parametrize(("name", "metric"), [("other", power), ("error", root)])
def test_a_renamed_metric_and_another_function_are_another_fitness(name, metric):
    assert Task(name, metric=metric).fitness != Task("error", metric=power).fitness
    assert Task("error", metric=power).fitness == Task("error", metric=power).fitness


def test_a_changed_function_that_is_called_is_another_one(tmp_path: Path):
    helper = tmp_path / "own_helper.py"
    body = "share(outputs, targets)"
    texts = []
    for result in ("1", "1", "2"):
        helper.write_text(f"def share(outputs, targets):\n    return {result}\n")
        texts.append(of_module(tmp_path, body, "from own_helper import share\n"))
    assert texts[0] == texts[1] != texts[2]
