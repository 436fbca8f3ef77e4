"""The benchmark that trains networks of one cost, on digits."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


def test_networks_of_one_band_are_trained_and_some_of_them_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import truth_table

    recipe = ("retrain.steps=3", "retrain.batch_size=16", "retrain.warmup_steps=1")
    layout = ("layout.image_size=8", "layout.channels=8,16", "layout.depths=1,2")
    settings = [*recipe, *layout, "layout.strides=1,2"]
    arguments = ["--space", "mobile", "--preset", "tiny", "--max-flops", "200K"]
    arguments += [
        "--data",
        "digits",
        "--image-channels",
        "1",
        "--networks",
        "2",
        "--twice",
        "1",
        "--processes",
        "2",
    ]
    arguments += [part for one in settings for part in ("--set", one)]
    arguments += ["--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "out")]
    truth_table.main(arguments)
    with (tmp_path / "out" / "table.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["seed"] for row in rows] == ["0", "0", "1"]
    assert rows[0]["arch"] == rows[2]["arch"] != rows[1]["arch"]
    assert all(180_000 <= int(row["flops"]) <= 200_000 for row in rows)
    summary = (tmp_path / "out" / "summary.md").read_text()
    assert "standard deviation of trainings" in summary
    kept = (tmp_path / "out" / "table.csv").read_bytes()
    truth_table.main(arguments)
    assert (tmp_path / "out" / "table.csv").read_bytes() == kept
