"""The benchmark of racing, on digits and a space of 27 networks."""

from __future__ import annotations

import json
from pathlib import Path

from spos.run import run


def test_searches_are_replayed_on_recorded_scores(tmp_path: Path) -> None:
    import racing

    settings = {
        "space": {"name": "nasbenchmacro", "preset": "tiny"},
        "layout": {"channels": [4, 8], "depths": [1, 2], "strides": [1, 2]},
        "run": {"evaluation_batch": 64, "calibration": 64},
        "data": {"source": "digits", "validation": 500},
        "supernet": {"steps": 60, "batch_size": 16, "warmup_steps": 2},
    }
    run(tmp_path / "run", settings, ("train",))
    arguments = ["--run", str(tmp_path / "run"), "--record", str(tmp_path / "scores")]
    arguments += ["--population", "6", "--parents", "2", "--iterations", "4", "--seeds", "2"]
    arguments += ["--confidence", "0.5", "0.99", "--out", str(tmp_path)]
    for _ in range(2):
        racing.main(arguments)
        (scores,) = (tmp_path / "scores").glob("*.npy")
        kept = scores.stat().st_mtime_ns
    # Scores are recorded once.
    assert scores.stat().st_mtime_ns == kept
    tables = json.loads((tmp_path / "summary.json").read_text())["tables"]
    loss = tables["Score: loss"]
    assert [row["candidates"] for row in loss] == [24, 24]
    careless, careful = (int(row["dropped"]) for row in loss)
    assert careless >= careful > 0
    assert int(loss[0]["images saved"].rstrip("%")) > 0
