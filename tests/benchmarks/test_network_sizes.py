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
    monkeypatch.setattr(network_sizes, "step_seconds", lambda supernet, _: supernet.input_shape[1])
    arguments = ["--data", "images.zip", "--sizes", "8:0.25", "16:0.25", "--seconds", "320"]
    arguments += ["--batch", "4", "--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "out")]
    network_sizes.main(arguments)
    small, large = json.loads((tmp_path / "out" / "summary.json").read_text())["rows"]
    assert (small["image size"], small["steps"]) == (8, 40)
    assert (large["image size"], large["steps"]) == (16, 20)
    assert small["multiply-adds"] < large["multiply-adds"] and small["test"].endswith("%")
    network_sizes.main(arguments)
    assert len(small_runs.commands) == 2


def test_a_step_takes_time_of_a_processor() -> None:
    import network_sizes

    from spos.spaces import family
    from spos.spaces.mobile import layout_for

    supernet = family("mobile").build(layout_for(8, 0.25), classes=3)
    assert 0 < network_sizes.step_seconds(supernet, 2) < 10
