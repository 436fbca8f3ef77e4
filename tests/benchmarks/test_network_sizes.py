"""The benchmark of sizes of networks, with its trainings in this process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest


def test_each_size_is_trained_for_its_own_number_of_steps(
    tmp_path: Path, small_runs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import network_sizes

    monkeypatch.setattr(small_runs, "SETTINGS", ())
    monkeypatch.setattr(
        network_sizes, "measure_networks", lambda supernet, *_: [supernet.input_shape[1]]
    )
    arguments = ["--data", "images.zip", "--sizes", "8:0.25", "16:0.25", "--seconds", "320"]
    arguments += ["--batch", "4", "--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "out")]
    network_sizes.main(arguments)
    small, large = json.loads((tmp_path / "out" / "summary.json").read_text())["rows"]
    assert (small["image size"], small["steps"]) == (8, 40)
    assert (large["image size"], large["steps"]) == (16, 20)
    flops = [float(row["multiply-adds"].removesuffix("M")) for row in (small, large)]
    assert 0 < flops[0] < flops[1] and small["test"].endswith("%")
    network_sizes.main(arguments)
    assert len(small_runs.commands) == 2
