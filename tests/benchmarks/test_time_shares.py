"""The benchmark of shares of a run's time, with its runs in this process."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


def test_every_way_has_the_same_number_of_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import inherited
    import time_shares

    from spos._cli.main import main

    small = ["supernet.batch_size=8", "retrain.batch_size=8", "search.parents=2"]
    small += ["run.calibration=16", "layout.channels=8,16", "layout.depths=1,2"]
    small += ["layout.strides=1,2", "layout.image_size=8"]
    commands: list[list[str]] = []

    def run_here(command: Sequence[str], log: Path) -> None:
        words = list(command[len(time_shares.SPOS) :])
        commands.append(words)
        # Of options given twice, the second counts.
        words += ["--data", "digits", *(part for one in small for part in ("--set", one))]
        words += ["--population", "4", "--iterations", "1"] if words[0] == "run" else []
        done = CliRunner().invoke(main, words, catch_exceptions=False)
        assert done.exit_code == 0, done.output

    monkeypatch.setattr(inherited, "run_command", run_here)
    monkeypatch.setattr(time_shares, "run_command", run_here)
    monkeypatch.setattr(time_shares, "cut_folder", lambda *_: None)
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
    assert len(commands) == 5
