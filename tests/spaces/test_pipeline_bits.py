"""A search of bit-widths from images to a retrained network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spos.run import run
from spos.spaces import family
from spos.spaces.resnet_bits import PAIRS

RECIPE = {"steps": 6, "batch_size": 16, "warmup_steps": 2}
GIVEN: dict[str, Any] = {
    "space": {"name": "resnet-bits", "preset": "tiny"},
    "layout": {"channels": [8, 12], "depths": [1, 2]},
    "data": {"source": "digits", "validation": 64},
    "run": {"evaluation_batch": 64, "calibration": 64},
    "supernet": RECIPE,
    "retrain": RECIPE,
    "search": {"population": 6, "iterations": 2, "parents": 3},
}


def test_a_search_under_bounds_in_bits(tmp_path: Path):
    layout = family("resnet-bits").preset("tiny")
    assert layout.bits == PAIRS
    bounds = {"bitops": "1.2M", "model_bits": "28K"}
    result = run(tmp_path / "run", {**GIVEN, "constraint": {"maximum": bounds}})
    winner = result.winner
    assert 0 < winner.costs["bitops"] <= 1.2e6 and 0 < winner.costs["model_bits"] <= 28e3
    assert sum(stage.costs["bitops"] for stage in winner.stages) == winner.costs["bitops"]
    assert set(winner.names.values()) <= set(PAIRS)
    assert len(winner.architecture) == 3
    assert result.retrain.test_score > 0
    page = (tmp_path / "run" / "report.html").read_text()
    assert "1.200M bit operations" in page and "28.00K bits of parameters" in page
