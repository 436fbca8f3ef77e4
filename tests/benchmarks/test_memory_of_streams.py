"""The benchmark of the memory of streamed images, on few images."""

from __future__ import annotations

import json
from pathlib import Path


def test_every_kind_is_measured(tmp_path: Path) -> None:
    import memory

    memory.main(["--counts", "3000", "--out", str(tmp_path / "summary")])
    rows = json.loads((tmp_path / "summary.json").read_text())["rows"]
    assert [row["kind"] for row in rows] == ["folder of files", "zip archive", "tar shards"]
    assert all(0 < int(row["bytes for an image"]) < 4096 for row in rows)
