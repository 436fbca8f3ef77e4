"""The page on extending: its six files as an installed package, used from the command line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "extending.md").read_text("utf-8")
BLOCKS = re.findall(r"```python\n# (shapes/\w+\.py)\n(.*?)```", PAGE, flags=re.DOTALL)
KINDS = {
    "shapes/space.py": "search space",
    "shapes/source.py": "data source",
    "shapes/network.py": "published network",
    "shapes/cost.py": "cost",
    "shapes/method.py": "training method",
    "shapes/algorithm.py": "search algorithm",
}


def test_all_six_work_together(ran: Callable[[str], Path]) -> None:
    run = ran("docs/extending.md") / "runs" / "shapes"
    result = json.loads((run / "result.json").read_text())
    assert result["space"]["name"] == "shapes" and result["data"]["source"] == "bars:600"
    assert result["data"]["classes"] == ["horizontal", "vertical"]
    assert result["search"]["label"] == "Neighbours of the best"
    assert result["train"]["label"] == "mirrored paths"
    candidates = json.loads((run / "search.json").read_text())["candidates"]
    # Two layers of one or two convolutions each: all four are out of bounds.
    assert all(2 <= one["costs"]["convolutions"] <= 3 for one in candidates)
    assert {one["origin"] for one in candidates if one["iteration"]} <= {"neighbour", "random"}
    assert "convolution layers" in (run / "report.html").read_text("utf-8")


def test_the_network_is_trained_by_name(ran: Callable[[str], Path]) -> None:
    run = ran("docs/extending.md") / "runs" / "two"
    result = json.loads((run / "result.json").read_text())
    assert result["network"]["name"] == "two_layers"
    assert result["network"]["costs"]["params"] == 9 * 16 + 32 + 9 * 16 * 32 + 64 + 32 * 2 + 2


@pytest.mark.parametrize(("name", "code"), BLOCKS)
def test_the_page_counts_its_lines(name: str, code: str) -> None:
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| {KINDS[name]} |"))
    lines = sum(bool(line.strip()) for line in code.splitlines())
    assert int(row.split("|")[-2]) == lines


def test_every_kind_has_its_file() -> None:
    assert [name for name, _ in BLOCKS] == list(KINDS)
