"""The benchmark of supernets on a GPU, in small on the CPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "gpu.py"
#: Of every method and space; each takes a process some seconds to start.
VARIANTS = (
    "macro averaged weights",
    "macro sandwich",
    "macro strict fairness",
    "nasbench201 wider",
)


def test_all_parts_run_in_small(tmp_path: Path):
    command = [sys.executable, str(SCRIPT), "--dry-run", "--device", "cpu", "--out", str(tmp_path)]
    command += ["--variants", *VARIANTS]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert not [row for row in rows if "error" in row]
    assert {row["part"] for row in rows} == {
        "throughput",
        "graphs",
        "evaluation",
        "ranking",
    }
    alone = [row for row in rows if row.get("way") == "shared, 2 GiB"]
    assert alone and all(row["largest difference"] == 0 for row in alone)
    trained = {row["variant"]: row for row in rows if row["part"] == "ranking"}
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert set(trained) == set(VARIANTS) == set(scores)
    for name, row in trained.items():
        assert row["steps"] > 0 and row["networks"] > 0, name
        assert len(scores[name]) >= row["networks"]
    assert "## ranking" in (tmp_path / "summary.md").read_text()
    assert set(json.loads((tmp_path / "summary.json").read_text())["tables"]) == {
        "throughput",
        "graphs",
        "evaluation",
        "ranking",
    }
