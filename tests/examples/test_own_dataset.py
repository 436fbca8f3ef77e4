"""The example of your own dataset and space goes through the whole pipeline."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest
import torch

from spos.report.result import read_result
from spos.spaces import SPACES

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "own_dataset.py"


def test_the_example_ends_with_a_tested_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "own"
    monkeypatch.setattr("sys.argv", [str(EXAMPLE), str(out)])
    try:
        with torch.random.fork_rng():
            runpy.run_path(str(EXAMPLE), run_name="__main__")
    finally:
        SPACES.pop("stack", None)
    assert re.search(r"^found [012](,[012]){4}: \d+ multiply-adds$", capsys.readouterr().out, re.M)
    result = read_result(out / "result.json")
    assert result.space.name == "stack"
    assert result.data.source == "dataset"
    assert result.winner.costs["flops"] <= 500_000
    assert result.retrain.test_score > 0.9
