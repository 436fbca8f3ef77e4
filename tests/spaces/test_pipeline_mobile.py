"""Searches of mobile spaces from images to a retrained network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from spos.run import run

RECIPE = {"steps": 6, "batch_size": 16, "warmup_steps": 2}
GIVEN: dict[str, Any] = {
    "layout": {"channels": [8, 12], "depths": [1, 2], "head_channels": 32},
    "data": {"source": "digits", "validation": 64},
    "run": {"evaluation_batch": 64, "calibration": 64},
    "supernet": RECIPE,
    "retrain": RECIPE,
    "search": {"population": 6, "iterations": 2, "parents": 3},
}


@pytest.mark.parametrize(("name", "most"), [("fbnet", 70_000), ("proxylessnas", 150_000)])
def test_a_search_under_a_bound(name: str, most: int, tmp_path: Path):
    given = {**GIVEN, "space": {"name": name, "preset": "tiny"}}
    result = run(tmp_path / "run", {**given, "constraint": {"maximum": {"flops": most}}})
    winner = result.winner
    assert 0 < winner.costs["flops"] <= most
    assert sum(stage.costs["flops"] for stage in winner.stages) == winner.costs["flops"]
    assert len(winner.architecture) == 3
    assert list(winner.names) == ["stage1.0", "stage2.0", "stage2.1"]
    assert 0 < result.retrain.test_score <= 1
    assert (tmp_path / "run" / "report.html").exists()
