"""Networks that torch cannot train in channels_last on the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from spos.run import run

RECIPE = {"steps": 4, "batch_size": 128, "warmup_steps": 1}
#: The identity of a layer that halves the resolution is a strided 1x1 convolution of 4 channels.
GIVEN: dict[str, Any] = {
    "space": {"name": "nasbenchmacro", "preset": "tiny"},
    "layout": {
        "image_size": 8,
        "channels": [4, 8],
        "depths": [1, 2],
        "strides": [1, 2],
        "stem_channels": 8,
    },
    "data": {"source": "digits", "validation": 64},
    "run": {"evaluation_batch": 64, "calibration": 64},
    "supernet": RECIPE,
    "search": {"population": 2, "iterations": 1, "parents": 2},
    "retrain": RECIPE,
}


class Messages:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def progress(self, stage: str, done: int, total: int, text: str) -> None: ...

    def message(self, text: str) -> None:
        self.lines.append(text)


@pytest.mark.parametrize("channels_last", [True, False])
def test_they_are_trained_in_the_other_format(tmp_path: Path, channels_last: bool) -> None:
    listener = Messages()
    given = {**GIVEN, "run": {**GIVEN["run"], "channels_last": channels_last}}
    result = run(tmp_path / "run", given, ("train", "search"), listener=listener)
    assert result.winner is not None
    said = any("run.channels_last is off" in line for line in listener.lines)
    assert said == channels_last
