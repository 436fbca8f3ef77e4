"""The benchmark of the study of a search, on few trials."""

from __future__ import annotations

import json
from pathlib import Path


def test_both_ways_are_timed(tmp_path: Path) -> None:
    import study_speed

    study_speed.main(["--added", "4", "--known", "8", "--out", str(tmp_path)])
    tables = json.loads((tmp_path / "summary.json").read_text())["tables"]
    adding, reading = (
        {row.pop("way"): float(next(iter(row.values()))) for row in rows}
        for rows in tables.values()
    )
    assert adding.keys() == reading.keys() == {"spos", "Optuna"}
    assert all(value >= 0 for value in (*adding.values(), *reading.values()))
    assert 0 < adding["spos"] < adding["Optuna"]
