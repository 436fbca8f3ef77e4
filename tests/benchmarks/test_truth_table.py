"""The benchmark that trains networks of one cost, on digits."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from spos.run import run


def test_a_network_of_the_band_is_trained_twice(forks: Any, tmp_path: Path) -> None:
    import truth_table

    recipe = ("retrain.steps=3", "retrain.batch_size=16", "retrain.warmup_steps=1")
    layout = ("layout.image_size=8", "layout.channels=8,16", "layout.depths=1,2")
    settings = [*recipe, *layout, "layout.strides=1,2"]
    arguments = ["--space", "mobile", "--preset", "tiny", "--max-flops", "200K"]
    arguments += ["--data", "digits", "--image-channels", "1", "--processes", "2"]
    arguments += ["--networks", "1", "--twice", "1"]
    arguments += [part for one in settings for part in ("--set", one)]
    arguments += ["--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "out")]
    truth_table.main(arguments)
    with (tmp_path / "out" / "table.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["seed"] for row in rows] == ["0", "1"]
    assert rows[0]["arch"] == rows[1]["arch"]
    assert all(180_000 <= int(row["flops"]) <= 200_000 for row in rows)
    summary = (tmp_path / "out" / "summary.md").read_text()
    assert "standard deviation of trainings" in summary
    kept = (tmp_path / "out" / "table.csv").read_bytes()
    truth_table.main(arguments)
    assert len(forks.commands) == 2
    assert (tmp_path / "out" / "table.csv").read_bytes() == kept


@pytest.mark.filterwarnings("ignore::scipy.stats.ConstantInputWarning")
def test_a_supernet_is_judged_by_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ranking

    monkeypatch.setattr(ranking, "RESAMPLES", 20)
    layout = {"image_size": 8, "channels": [8, 16], "depths": [1, 2], "strides": [1, 2]}
    given = {
        "space": {"name": "mobile", "preset": "tiny"},
        "layout": layout,
        "data": {"source": "digits", "validation": 64},
        "run": {"evaluation_batch": 64, "calibration": 64},
        "supernet": {"steps": 3, "batch_size": 16, "warmup_steps": 1},
    }
    run(tmp_path / "a", given, ("train",))
    table = tmp_path / "table.csv"
    rows = ["0,1,2,0,9,1,50", "0,1,2,1,9,1,52", "1,1,1,0,9,1,60", "3,0,4,0,9,1,40"]
    lines = [f'"{row[:5]}",{row[6:]}' for row in rows]
    table.write_text("\n".join(["arch,seed,flops,params,test_top1", *lines]) + "\n")
    ranking.main(
        ["mobile", "--table", str(table), "--run", str(tmp_path / "a"), "--evaluations", "0"]
        + ["--out", str(tmp_path / "out"), "--calibration", "64", "--validation", "64"]
    )
    scores = json.loads((tmp_path / "out" / "scores" / "a.json").read_text())["scores"]
    assert scores.keys() == {"0,1,2", "1,1,1", "3,0,4"}
