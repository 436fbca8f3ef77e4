"""Searches of a cell and of plain layers, from images to a retrained network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from spos.run import run
from spos.spaces.nasbench201 import architecture_string

RECIPE = {"steps": 6, "batch_size": 16, "warmup_steps": 2}
GIVEN: dict[str, Any] = {
    "data": {"source": "digits", "validation": 64},
    "run": {"evaluation_batch": 64, "calibration": 64},
    "supernet": RECIPE,
    "retrain": RECIPE,
    "search": {"population": 4, "iterations": 2, "parents": 2},
}


@pytest.mark.parametrize(
    ("name", "layout", "bounds"),
    [
        ("nasbench201", {"channels": [4, 8]}, {"maximum": {"flops": 100_000}}),
        (
            "plain",
            {"layers": 3, "filters": [4, 8]},
            {"maximum": {"strides": 2, "flops": 100_000}, "minimum": {"strides": 1}},
        ),
    ],
)
def test_a_search_under_bounds(
    name: str, layout: dict[str, Any], bounds: dict[str, Any], tmp_path: Path
):
    given = {**GIVEN, "space": {"name": name, "preset": "tiny"}, "layout": layout}
    result = run(tmp_path / "run", {**given, "constraint": bounds})
    winner = result.winner
    for cost, most in bounds["maximum"].items():
        assert 0 < winner.costs[cost] <= most
        assert sum(stage.costs[cost] for stage in winner.stages) == winner.costs[cost]
    for cost, least in bounds.get("minimum", {}).items():
        assert winner.costs[cost] >= least
    assert 0 <= result.retrain.test_score <= 1
    assert (tmp_path / "run" / "report.html").exists()
    if name == "nasbench201":
        assert winner.notation == architecture_string(winner.names)


def test_a_network_of_the_benchmark_is_trained_by_its_own_notation(tmp_path: Path):
    text = "|nor_conv_1x1~0|+|none~0|skip_connect~1|+|none~0|none~1|skip_connect~2|"
    given = {
        **GIVEN,
        "space": {"name": "nasbench201", "preset": "tiny"},
        "layout": {"channels": [4, 8]},
        "network": {"name": text},
    }
    result = run(tmp_path / "run", given, ("retrain",))
    assert 0 <= result.retrain.test_score <= 1
