"""The example of your own network does what its text says."""

from __future__ import annotations

import ast
import re
import runpy
from pathlib import Path

import pytest
import torch

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "residual_network.py"


def test_the_example_finds_a_network_within_its_budget(capsys: pytest.CaptureFixture[str]):
    with torch.random.fork_rng():
        runpy.run_path(str(EXAMPLE), run_name="__main__")
    space, found, network = capsys.readouterr().out.splitlines()
    assert space.startswith("SearchSpace(6 choices, 729 architectures), multiply-adds from (")
    result = re.fullmatch(r"found ([012](?:,[012]){5}): accuracy (0\.\d+), costs (\{.*\})", found)
    assert result
    costs = ast.literal_eval(result[3])
    assert costs["flops"] <= 500_000
    assert float(result[2]) > 0.8
    assert network == f"the network has {costs['params']} parameters"
