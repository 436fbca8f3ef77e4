"""The benchmark of the evaluation of candidates, on digits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch


def test_every_way_finds_the_same_best_candidate(
    forks: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import evaluation_speed
    from launch import SPOS

    # Convolutions as small as these wait for each other on two threads.
    monkeypatch.setattr(torch, "set_num_threads", lambda count: None)
    monkeypatch.setattr(evaluation_speed, "BATCHES", 3)
    run = tmp_path / "supernet"
    settings = [
        *("layout.image_size=8", "layout.channels=8,16", "layout.depths=1,2"),
        *("layout.strides=1,2", "supernet.steps=2", "supernet.warmup_steps=0"),
        *("search.population=6", "search.parents=2", "run.calibration=64", "data.validation=64"),
        "run.evaluation_batch=32",
    ]
    train = [*SPOS, "train", "--space", "mobile", "--preset", "tiny", "--data", "digits"]
    train += [part for one in settings for part in ("--set", one)]
    forks([*train, "--threads", "1", "--out", str(run)], tmp_path / "train.log")
    arguments = ["--run", str(run), "--runs", str(tmp_path / "runs"), "--out", str(tmp_path)]
    arguments += ["--iterations", "2", "--workers", "1", "--sample", "8", "--max-flops", "200K"]
    arguments += ["--long-iterations", "3", "--few", "64", "--memory", "0.5"]
    evaluation_speed.main(arguments)
    tables = json.loads((tmp_path / "summary.json").read_text())["tables"]
    ways = {row["way"]: row for row in tables["Candidates a minute"]}
    same = [row for name, row in ways.items() if not name.endswith(", 3 batches")]
    assert len(same) == len(ways) - 1 == 6
    assert all(
        row["same best"] and float(row["largest difference of a score"]) < 1e-5 for row in same
    )
    # Sharing changes nothing at all.
    assert float(ways["+ shared beginnings"]["largest difference of a score"]) == 0
    none, shared = tables["Shared beginnings"]
    assert none["blocks saved, all"] == "0%" != shared["blocks saved, all"]
    count = len(forks.commands)
    evaluation_speed.main(arguments)
    assert len(forks.commands) == count == 3
