"""The example of your own dataset and space goes through the whole pipeline."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from spos.report.result import read_result

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "own_dataset.py"


def test_the_example_ends_with_a_tested_network(tmp_path: Path):
    out = tmp_path / "own"
    command = [sys.executable, str(EXAMPLE), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^found [012](,[012]){4}: \d+ multiply-adds$", done.stdout, re.M)
    result = read_result(out / "result.json")
    assert result.space.name == "stack"
    assert result.data.source == "dataset"
    assert result.winner.costs["flops"] <= 500_000
    assert result.retrain.test_score > 0.9
