"""The benchmark of searches of minutes, on digits."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest


def test_searches_share_a_supernet(
    forks: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import inherited
    import short_search

    small = ["supernet.batch_size=8", "retrain.batch_size=8", "search.parents=2"]
    small += ["run.calibration=16", "layout.channels=8,16", "layout.depths=1,2"]
    small += ["layout.strides=1,2", "layout.image_size=8", "retrain.warmup_steps=0"]

    def run_here(command: Sequence[str], log: Path) -> None:
        words = [*command]
        if "--reuse" not in words:
            # Of options given twice, the second counts.
            words += ["--data", "digits", "--population", "4", "--iterations", "1"]
            words += [part for one in small for part in ("--set", one)]
        forks(words, log)

    monkeypatch.setattr(inherited, "run_command", run_here)
    monkeypatch.setattr(short_search, "cut_folder", lambda *_: None)
    arguments = ["--data", "images.zip", "--supernet-steps", "4", "--steps", "2"]
    arguments += ["--weights", "0,1", "--max-flops", "100M", "--compare", "1"]
    arguments += ["--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "out")]
    short_search.main(arguments)
    (rows,) = json.loads((tmp_path / "out" / "summary.json").read_text())["tables"].values()
    names = ["loss, 0 NASWOT", short_search.RANDOM, "loss, 1 NASWOT"]
    assert [row["networks"] for row in rows] == names
    for weight, row in (("0", rows[0]), ("1", rows[2])):
        kept = json.loads((tmp_path / "runs" / f"0-{weight}" / "retrain.json").read_text())
        assert row["test top-1"] == f"{100 * kept['test_score']:.2f}"
        assert kept["weights"] == "supernet"
    short_search.main(arguments)
    assert len(forks.commands) == 2


def test_differences_are_paired_by_supernet() -> None:
    from short_search import table

    first, second = table([{"a": [0.5], "b": [0.4, 0.5]}, {"a": [0.6], "b": [0.46, 0.56]}])
    assert (first["test top-1"], second["test top-1"]) == ("55.00", "48.00")
    assert second["trainings"] == 4
    # Five and nine points: 12.7 standard errors of the mean, which is two, either way.
    assert second["less the first"] == "-7.00"
    assert second["95% interval"] == "-32.41 to +18.41"
