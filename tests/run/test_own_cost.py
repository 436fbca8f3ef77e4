"""A custom cost in its own file is bounded, searched, compared and reported like any other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import convolutions  # noqa: F401  (registers the cost)
import pytest
from click.testing import CliRunner

from spos import UserError
from spos._cli.main import main
from spos.cost import COSTS, Cost, find_cost, register_cost
from spos.run import run
from spos.spaces.plain import STRIDES

RECIPE = {"steps": 6, "batch_size": 16, "warmup_steps": 2}
GIVEN: dict[str, Any] = {
    "space": {"name": "plain", "preset": "tiny"},
    "run": {"evaluation_batch": 64, "calibration": 64},
    "data": {"validation": 64},
    "supernet": RECIPE,
    "search": {"population": 4, "iterations": 1, "parents": 2},
    "retrain": RECIPE,
}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search under a bound of it."""
    out = tmp_path_factory.mktemp("own") / "run"
    space = {"space": {"name": "shufflenetv2", "preset": "tiny"}}
    layout = {"layout": {"channels": [16, 24], "depths": [1, 2]}}
    run(out, {**GIVEN, **space, **layout, "constraint": {"maximum": {"convolutions": "18"}}})
    return out


def test_the_network_found_is_within_its_bound(found: Path) -> None:
    result = run(found, {})
    assert all(row.costs["convolutions"] <= 18 for row in result.top)
    assert "convolution layers" in (found / "report.html").read_text(encoding="utf-8")


def test_an_edited_counter_is_no_finished_run(found: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = COSTS.find("convolutions")

    def twice(network: Any, value: Any) -> tuple[int, Any]:
        cost, output = counted.counter(network, value)
        return 2 * cost, output

    monkeypatch.setitem(COSTS, "convolutions", replace(counted, counter=twice))
    with pytest.raises(UserError, match="searched with another counter of the cost convolutions"):
        run(found, {})


def test_a_bound_of_it_is_read_from_the_command_line(found: Path) -> None:
    asked = ["run", "--out", str(found), "--max", "convolutions=21"]
    ended = CliRunner().invoke(main, asked)
    assert "constraint.maximum is {'convolutions': 18.0} there" in str(ended.exception)
    shown = CliRunner().invoke(main, ["show", str(found)])
    assert "at most 18 convolution layers" in shown.output


def test_a_cost_of_a_space_is_called_by_its_label() -> None:
    assert find_cost(STRIDES.name).noun == "layers with a stride above 1"


def test_what_cannot_be_counted_here_is_refused_by_name(tmp_path: Path) -> None:
    register_cost(Cost("carbon"))
    assert "carbon" in COSTS
    with pytest.raises(UserError, match="unknown cost 'carbon'"):
        run(tmp_path / "run", {**GIVEN, "constraint": {"maximum": {"carbon": 1}}})
