"""The benchmark of inherited weights, with its runs in this process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def test_every_way_trains_networks_of_one_search(tmp_path: Path, small_runs: Any) -> None:
    import inherited

    arguments = ["--data", "images.zip", "--supernet-steps", "4", "--steps", "2", "--rates", "0.02"]
    arguments += ["--max-flops", "100M"]
    arguments += ["--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "out")]
    inherited.main(arguments)
    rows = json.loads((tmp_path / "out" / "summary.json").read_text())["rows"]
    assert [row["weights"] for row in rows] == ["scratch", "supernet"]
    trained = [
        json.loads((tmp_path / "runs" / f"0-2-{name}" / "retrain.json").read_text())
        for name in ("scratch-0.1", "supernet-0.02")
    ]
    assert [one["weights"] for one in trained] == ["scratch", "supernet"]
    assert trained[0]["architecture"] == trained[1]["architecture"]
    inherited.main(arguments)
    assert len(small_runs.commands) == 2
