"""Channel search and joint search with the commands of block search."""

from __future__ import annotations

from pathlib import Path

import pytest

from spos.run import run

RECIPE = {"steps": 6, "batch_size": 16, "warmup_steps": 2}


@pytest.mark.parametrize("space", ["shufflenetv2-channels", "shufflenetv2-joint"])
def test_train_search_and_retrain(space: str, tmp_path: Path) -> None:
    given = {
        "space": {"name": space, "preset": "tiny"},
        "layout": {"channels": [16, 24], "depths": [1, 1], "scales": [0.5, 1.0, 2.0]},
        "run": {"evaluation_batch": 64, "calibration": 64},
        "data": {"validation": 64},
        "supernet": {**RECIPE, "widening_steps": 3},
        "search": {"population": 4, "iterations": 2, "parents": 2},
        "constraint": {"maximum": {"params": 6500}},
        "retrain": RECIPE,
    }
    result = run(tmp_path / "run", given)
    winner = result.winner
    assert winner.costs["params"] <= 6500
    assert winner.names["stage1.0.channels"] in ("0.5", "1.0", "2.0")
    assert ("stage1.0.block" in winner.names) == space.endswith("joint")
    stage = next(s for s in winner.stages if "stage1.0.channels" in s.choices)
    assert stage.costs["flops"] > 0
    assert 0 <= result.retrain.test_score <= 1
    assert result.retrain == run(tmp_path / "run", given).retrain
    assert "stage1.0" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
