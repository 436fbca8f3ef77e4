"""The benchmark that makes the tables of the paper, on digits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest


def test_all_networks_of_the_table_have_about_the_same_cost(
    forks: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import paper_small

    # Fewer widths are counted to find the one of a cost.
    monkeypatch.setattr(paper_small, "WIDTHS", (0.15, 0.5, 1.0, 2.0))
    settings = [
        *("layout.image_size=8", "layout.channels=8,16", "layout.depths=1,2"),
        *("layout.strides=1,2", "supernet.steps=2", "supernet.warmup_steps=0"),
        *("search.population=4", "search.iterations=1", "search.parents=2"),
        *("run.calibration=64", "retrain.steps=2", "retrain.warmup_steps=0"),
        *("data.validation=64", "search.naswot_weight=0.5"),
    ]
    arguments = ["--preset", "tiny", "--max-flops", "200K", "--data", "digits"]
    arguments += ["--image-channels", "1", "--seeds", "1", "--random", "2"]
    arguments += ["--baseline-seeds", "1", "--processes", "2", "--published", "mobilenet_v2"]
    arguments += ["--differentiable", "fbnet=3", "--loss-alone-seeds", "1"]
    arguments += ["--uniform", "k3_e3", "--also", "stem of 4", "0,0,1", "layout.stem_channels=4"]
    arguments += [part for one in settings for part in ("--set", one)]
    arguments += ["--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "out")]
    paper_small.main(arguments)
    record = json.loads((tmp_path / "out" / "summary.json").read_text())
    rows = {row["networks"]: row for row in record["tables"]["Test accuracy"]}
    found, random, alone, cheaper, fbnet, *others = rows
    assert (found, random) == ("supernet + evolution", "supernet + random search")
    assert (alone, fbnet) == ("supernet + evolution, loss alone", "fbnet")
    assert rows["random network"]["trainings"] == 2
    assert [name.split(",")[0] for name in others] == [
        "random network",
        "k3_e3 everywhere",
        "mobilenet_v2",
        "stem of 4",
    ]
    assert float(rows[cheaper]["multiply-adds"][:-1]) <= 0.14
    costs = [float(row["multiply-adds"][:-1]) for row in rows.values()]
    assert all(cost <= 0.2 for cost in costs)
    before = (tmp_path / "out" / "summary.json").read_bytes()
    count = len(forks.commands)
    paper_small.main(arguments)
    assert len(forks.commands) == count == 17
    assert (tmp_path / "out" / "summary.json").read_bytes() == before
    # Another machine goes on from what is found and trained.
    known = ["--known", str(tmp_path / "out" / "trainings.json")]
    places = ["--runs", str(tmp_path / "elsewhere"), "--out", str(tmp_path / "there")]
    paper_small.main([*arguments, *known, *places])
    assert len(forks.commands) == count
    there = json.loads((tmp_path / "there" / "summary.json").read_text())
    assert there["tables"] == record["tables"]
