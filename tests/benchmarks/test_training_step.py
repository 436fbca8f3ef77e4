"""The benchmark of training steps, on the smallest supernet."""

from __future__ import annotations

import json
from pathlib import Path


def test_every_way_is_timed(tmp_path: Path) -> None:
    from training_step import WAYS, main

    arguments = ["--paths", "1", "--rounds", "1", "--compiled", "0", "--cases", "mobile:tiny:2"]
    main(["--out", str(tmp_path), *arguments])
    tables = json.loads((tmp_path / "summary.json").read_text())["tables"]
    (row,) = tables["steps"]
    assert row["ms, torch"] > 0 and {*WAYS} - {"torch"} < {*row}
    assert len(tables["kernels"]) == 25 and all(row["spos"] > 0 for row in tables["kernels"])
