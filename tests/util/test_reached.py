"""What the code of classes uses."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from spos._util.reached import reached

HELPER = """
GAIN = 1.0
SIZES = {"small": [1, 2]}


def act(x):
    return inner(x)


def inner(x):
    return x + 1
"""
MODEL = """
import torch
import own_helper
from own_helper import act

SCALE = 2
UNUSED = 3


class Base:
    def shift(self, x):
        return x


class Model(Base):
    def forward(self, x):
        return torch.relu(act(self.shift(x)) * SCALE * own_helper.GAIN)

    @property
    def size(self):
        return [own_helper.SIZES for _ in range(1)]
"""
NAMES = ("own_helper", "own_model_of_test")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in NAMES:
        sys.modules.pop(name, None)


def read(folder: Path, at: str, helper: str, model: str) -> list[str]:
    """What the model uses, from files in a folder of its own, as after an edit."""
    for name, text in zip(NAMES, (helper, model), strict=True):
        sys.modules.pop(name, None)
        (folder / at).mkdir(exist_ok=True)
        (folder / at / f"{name}.py").write_text(text, encoding="utf-8")
    sys.path.insert(0, str(folder / at))
    try:
        return reached([import_module(NAMES[1]).Model])
    finally:
        sys.path.remove(str(folder / at))


@pytest.mark.parametrize(
    ("former", "changed"),
    [
        ("SCALE = 2", "SCALE = 4"),
        ("GAIN = 1.0", "GAIN = 3.0"),
        ("[1, 2]", "[1, 3]"),
        ("return inner(x)", "return inner(x) * 2"),
        ("return x + 1", "return x - 1"),
        ("return x\n", "return -x\n"),
    ],
)
def test_a_change_of_what_a_model_uses_is_seen(folder: Path, former: str, changed: str) -> None:
    before = read(folder, "before", HELPER, MODEL)
    assert read(folder, "same", HELPER, MODEL) == before
    texts = [text.replace(former, changed) for text in (HELPER, MODEL)]
    assert read(folder, "after", *texts) != before


def test_what_a_model_does_not_use_is_not_compared(folder: Path) -> None:
    before = read(folder, "before", HELPER, MODEL)
    assert read(folder, "after", HELPER, MODEL.replace("UNUSED = 3", "UNUSED = 4")) == before
    assert not any("def relu" in text for text in before)
