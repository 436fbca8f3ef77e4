"""The benchmark of shares of a run's time, with its runs in this process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def test_every_way_has_the_same_number_of_steps(tmp_path: Path, small_runs: Any) -> None:
    import time_shares

    arguments = ["--data", "images.zip", "--steps", "20", "--price", "2", "--kept", "0.2"]
    arguments += ["--shares", "0.4", "0.2", "--parts", "0.5", "1"]
    arguments += ["--seeds", "1", "--uniform", "0,1,0", "--max-flops", "100M"]
    arguments += ["--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "out")]
    time_shares.main(arguments)
    rows = json.loads((tmp_path / "out" / "summary.json").read_text())["rows"]
    assert [tuple(row.values())[:4] for row in rows] == [
        ("40%", "50%", 4, 4),
        ("40%", "100%", 4, 8),
        ("20%", "50%", 2, 6),
        ("20%", "100%", 2, 12),
        ("no search", "", 0, 18),
    ]
    first = json.loads((tmp_path / "runs" / "0-0.4-0.5" / "result.json").read_text())
    assert rows[0]["test"] == rows[0]["each seed"] == f"{first['retrain']['test_score']:.1%}"
    assert first["train"]["steps"] == first["retrain"]["steps"] == 4
    time_shares.main(arguments)
    assert len(small_runs.commands) == 5
