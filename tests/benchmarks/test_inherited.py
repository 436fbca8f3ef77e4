"""The benchmark of inherited weights, with its runs in this process."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


def test_every_way_trains_networks_of_one_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import inherited

    from spos._cli.main import main

    small = ["supernet.batch_size=8", "retrain.batch_size=8", "search.parents=2"]
    small += ["run.calibration=16", "layout.channels=8,16", "layout.depths=1,2"]
    small += ["layout.strides=1,2", "layout.image_size=8"]
    commands: list[list[str]] = []

    def run_here(command: Sequence[str], log: Path) -> None:
        words = list(command[len(inherited.SPOS) :])
        commands.append(words)
        if "--reuse" not in words:
            # Of options given twice, the second counts.
            words += ["--data", "digits", "--population", "4", "--iterations", "1"]
            words += [part for one in small for part in ("--set", one)]
        done = CliRunner().invoke(main, words, catch_exceptions=False)
        assert done.exit_code == 0, done.output

    monkeypatch.setattr(inherited, "run_command", run_here)
    monkeypatch.setattr(inherited, "cut_folder", lambda *_: None)
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
    assert len(commands) == 2
