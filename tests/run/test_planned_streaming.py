"""Images of a planned run that do not fit into the usual memory."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from spos._util.cores import usable_cores
from spos.data import StreamedImages, load_data
from spos.data.peek import ImageFacts
from spos.run.planning import capacity, streaming
from spos.run.planning.planner import Planner
from spos.run.planning.speed import Line, Speed
from spos.run.planning.streaming import loading, measure_decoding

#: 38 GiB at 224 pixels.
MANY = ImageFacts(
    270_000, 10, 224, 3, grey=False, has_validation=False, has_test=False, decoding=0.01
)
SPEED = Speed(1, Line(0.01, 1 / 3e9), Line(0.003, 1 / 9e9))


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(capacity, "measure_speed", lambda *_: SPEED)

    def set_free(gibibytes: int) -> None:
        memory = SimpleNamespace(available=gibibytes << 30)
        monkeypatch.setattr(streaming.psutil, "virtual_memory", lambda: memory)

    return set_free


def plan(given: dict[str, Any] | None = None) -> tuple[dict[str, Any], float]:
    """What is chosen, and the expected time of a step of the supernet."""
    fixed = {"layout": {"image_size": 224}, "space": {"name": "mobile", "preset": "small"}}
    made = Planner({**fixed, **(given or {})}, 3600.0, facts=MANY).plan()
    return {one.setting: one.value for one in made.choices}, made.step_seconds


def test_images_are_in_memory_where_there_is_plenty(free):
    free(400)
    chosen, held = plan()
    assert chosen["data.stream"] == "never" and "data.workers" not in chosen
    free(100)
    chosen, streamed = plan()
    assert chosen["data.workers"] == usable_cores() and "data.stream" not in chosen
    batch = chosen["supernet.batch_size"]
    assert streamed == pytest.approx(held + batch * MANY.decoding / usable_cores())


def test_what_the_user_gave_stays(free):
    free(400)
    chosen, _ = plan({"data": {"stream": "always", "workers": 0}})
    assert "data.workers" not in chosen and "data.stream" not in chosen
    chosen, _ = plan({"data": {"stream": "never"}})
    assert "data.workers" not in chosen


def test_an_accelerator_computes_while_the_next_batch_is_decoded():
    cuda = torch.device("cuda")
    assert loading(0.5, 100, 0.001, cuda) == 0
    assert loading(0.02, 100, 0.001, cuda) == pytest.approx(0.08)


def test_decoding_is_measured_where_images_are_streamed(tmp_path):
    random = np.random.default_rng(0)
    for number in range(40):
        path = tmp_path / "photos" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 255, (8, 8, 3), np.uint8)).save(path)
    data = load_data(f"folder:{tmp_path / 'photos'}", image_size=8, stream="always")
    assert isinstance(data.train, StreamedImages)
    assert measure_decoding(data.train) > 0
    held = load_data(data.source, image_size=8)
    assert measure_decoding(held.train) == 0
    assert torch.equal(data.train.in_memory().images, held.train.images)
    assert torch.equal(data.train.in_memory().labels, held.train.labels)
    assert data.train.nbytes == held.train.images.nbytes
