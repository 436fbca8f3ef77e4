from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from spos._util.listener import Silent
from spos.data import dataset_data, load_data
from spos.data import reading as module
from spos.data.peek import peek
from spos.data.reading import reading, tell_read


class Heard(Silent):
    def __init__(self) -> None:
        self.told: list[tuple[str, int, int]] = []

    def progress(self, stage: str, done: int, total: int, detail: str) -> None:
        assert detail.endswith(" images/s")
        self.told.append((stage, done, total))


@pytest.fixture
def slow(monkeypatch):
    """Everything takes long enough to be told."""
    monkeypatch.setattr(module, "PATIENCE", -1.0)
    monkeypatch.setattr(module, "INTERVAL", 0.0)


def read(make: Any) -> list[tuple[str, int, int]]:
    heard = Heard()
    with reading(heard) as watch:
        make()
    assert watch.seconds > 0
    return heard.told


@pytest.mark.usefixtures("slow")
def test_the_reading_of_files_is_told_set_by_set(make_folder):
    path = make_folder(train=10, test=1)
    told = read(lambda: load_data(f"folder:{path}", image_size=8))
    assert told == [("read", 16, 30), ("read", 30, 30), ("read", 3, 3)]


@pytest.mark.usefixtures("slow")
def test_the_reading_of_a_dataset_is_told():
    items = [(torch.full((1, 8, 8), n, dtype=torch.uint8), n % 2) for n in range(20)]
    assert read(lambda: dataset_data(items))[-1] == ("read", 20, 20)


def test_a_short_reading_is_not_told(make_folder):
    assert read(lambda: load_data(f"folder:{make_folder(train=10)}")) == []
    tell_read(1, 2)  # Nobody listens.


def test_large_photographs_are_looked_at_quickly_and_their_reading_is_expected(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (30, 40, 3), np.uint8)
    for number in range(8):
        path = tmp_path / "photos" / "ab"[number % 2] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).resize((2400, 1800)).save(path)
    facts = peek(f"folder:{tmp_path / 'photos'}")
    assert (facts.side, facts.count, facts.grey) == (1800, 8, False)
    assert facts.cut == pytest.approx(1 / 4)
    assert facts.reading > 0
    assert peek("digits").reading == 0
