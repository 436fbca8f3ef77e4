"""The benchmark of recipes of the retraining, with its runs in this process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def test_the_network_of_a_run_is_trained_by_other_recipes(tmp_path: Path, small_runs: Any) -> None:
    import short_recipes
    from launch import SPOS

    run = tmp_path / "run"
    steps = ("supernet.steps=2", "supernet.warmup_steps=0", "retrain.steps=3")
    given = [part for one in (*steps, "retrain.warmup_steps=0") for part in ("--set", one)]
    command = [*SPOS, "run", "--space", "mobile", "--preset", "tiny", *given, "--out", str(run)]
    small_runs(command, tmp_path / "log")
    recipe = "retrain.steps=4,retrain.learning_rate=0.2"
    arguments = ["--run", str(run), "--recipes", recipe, "--runs", str(tmp_path / "runs")]
    arguments += ["--out", str(tmp_path / "out")]
    short_recipes.main(arguments)
    planned, other = json.loads((tmp_path / "out" / "summary.json").read_text())["rows"]
    assert (planned["recipe"], planned["steps"]) == ("as planned", 3)
    assert (other["recipe"], other["steps"]) == (recipe, 4)
    assert planned["network"] == other["network"] and other["test"].endswith("%")
    short_recipes.main(arguments)
    assert len(small_runs.commands) == 2
