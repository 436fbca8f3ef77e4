"""The page on extending: its six files as an installed package, used from the command line."""

from __future__ import annotations

import json
import re
import subprocess
import sys
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


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package and what pip writes of it."""
    site = tmp_path_factory.mktemp("site")
    for name, code in BLOCKS:
        (site / name).parent.mkdir(exist_ok=True)
        (site / name).write_text(code)
    (site / "shapes" / "__init__.py").touch()
    toml = re.search(r"```toml\n(.*?)```", PAGE, flags=re.DOTALL)
    assert toml
    points = re.sub(r'\[project\.entry-points\."(.+?)"\]', r"[\1]", toml.group(1)).replace('"', "")
    facts = site / "shapes-1.0.dist-info"
    facts.mkdir()
    (facts / "entry_points.txt").write_text(points)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: shapes\nVersion: 1.0\n")
    return site


SHORT = ["--threads", "1", "--set", "run.calibration=128", "--set", "retrain.warmup_steps=2"]
SHORT += ["--retrain-steps", "8"]


def spos(site: Path, *arguments: str) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(site)!r}); from spos._cli.main import entry; entry()"
    )
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, cwd=site, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def test_all_six_work_together(site: Path) -> None:
    given = ["--space", "shapes", "--preset", "tiny", "--data", "bars:600"]
    search = ["--supernet-steps", "12", "--set", "supernet.warmup_steps=2", "--population", "3"]
    method = ["--set", "supernet.method=mirrored", "--algorithm", "neighbours", "--iterations", "2"]
    spos(site, "run", *given, *search, *method, "--max", "convolutions=3", "--out", "a", *SHORT)
    result = json.loads((site / "a" / "result.json").read_text())
    assert result["space"]["name"] == "shapes" and result["data"]["source"] == "bars:600"
    assert result["data"]["classes"] == ["horizontal", "vertical"]
    assert result["search"]["label"] == "Neighbours of the best"
    assert result["train"]["label"] == "mirrored paths"
    candidates = json.loads((site / "a" / "search.json").read_text())["candidates"]
    # Two layers of one or two convolutions each: all four are out of bounds.
    assert all(2 <= one["costs"]["convolutions"] <= 3 for one in candidates)
    assert {one["origin"] for one in candidates if one["iteration"]} <= {"neighbour", "random"}
    assert "convolution layers" in (site / "a" / "report.html").read_text("utf-8")


def test_the_network_is_trained_by_name(site: Path) -> None:
    given = ["--space", "shapes", "--preset", "tiny", "--data", "bars:600"]
    spos(site, "retrain", "--network", "two_layers", *given, "--out", "b", *SHORT)
    result = json.loads((site / "b" / "result.json").read_text())
    assert result["network"]["name"] == "two_layers"
    assert result["network"]["costs"]["params"] == 9 * 16 + 32 + 9 * 16 * 32 + 64 + 32 * 2 + 2


@pytest.mark.parametrize(("name", "code"), BLOCKS)
def test_the_page_counts_its_lines(name: str, code: str) -> None:
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| {KINDS[name]} |"))
    lines = sum(bool(line.strip()) for line in code.splitlines())
    assert int(row.split("|")[-2]) == lines


def test_every_kind_has_its_file() -> None:
    assert [name for name, _ in BLOCKS] == list(KINDS)
