"""Random networks of about the winner's cost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from spos import UserError
from spos.run import run

RECIPE = {"steps": 6, "batch_size": 16, "warmup_steps": 2}
GIVEN: dict[str, Any] = {
    "space": {"name": "resnet-bits", "preset": "tiny"},
    "layout": {"channels": [8], "depths": [2], "strides": [1], "bits": ["w1a2", "w4a4"]},
    "run": {"evaluation_batch": 64, "calibration": 64},
    "data": {"validation": 64},
    "supernet": RECIPE,
    "search": {"population": 2, "iterations": 1, "parents": 1},
    "retrain": RECIPE,
}


def test_where_none_is_near_one_further_off_is_taken(tmp_path: Path) -> None:
    # Four networks, of which two have the same bit operations and the others are far off.
    given = {**GIVEN, "constraint": {"maximum": {"bitops": 1e9}}}
    compared = run(tmp_path / "run", given, compare=5)["comparison"]
    assert len(compared["networks"]) == 3
    assert len({network["architecture"] for network in compared["networks"]}) == 3
    assert compared["networks"][-1]["within"] is None
    again = run(tmp_path / "run", given, compare=5)["comparison"]
    assert again == compared


def test_the_result_is_there_before_networks_are_compared(tmp_path: Path) -> None:
    stopped = patch("spos.run.pipeline.compare_stage", side_effect=UserError("stopped"))
    with stopped, pytest.raises(UserError, match="stopped"):
        run(tmp_path / "run", GIVEN, compare=2)
    result = json.loads((tmp_path / "run" / "result.json").read_text(encoding="utf-8"))
    assert 0 <= result["retrain"]["test_top1"] <= 1
    assert (tmp_path / "run" / "report.html").exists()
