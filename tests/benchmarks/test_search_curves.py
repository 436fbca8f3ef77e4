"""The benchmark that draws how the best candidates improve."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


def write_search(folder: Path, scores: list[float]) -> None:
    folder.mkdir(parents=True)
    candidates = [{"score": one, "iteration": at // 10} for at, one in enumerate(scores)]
    (folder / "search.json").write_text(json.dumps({"candidates": candidates}))


def test_scores_count_from_the_first_candidates(tmp_path: Path) -> None:
    import search_curves

    for seed, middle in enumerate((-1.0, -2.0)):
        first = [middle - 0.1, middle + 0.1] * 5
        write_search(tmp_path / f"evolution-{seed}", [*first, *[middle + 1] * 10])
        write_search(tmp_path / f"random-{seed}", [*first, *[middle] * 10])
    search_curves.main(["--runs", str(tmp_path), "--out", str(tmp_path / "out")])
    rows = json.loads((tmp_path / "out" / "summary.json").read_text())["rows"]
    found = {(row["score"], row["search"]): row["after 20"] for row in rows}
    assert found["best", "evolution"] == "1.0000"
    assert found["best", "random search"] == "0.1000"
    assert found["mean of the 10 best", "evolution"] == "1.0000"
    assert {row["seeds"] for row in rows} == {2}
    assert (tmp_path / "out" / "curves.png").exists()


def test_a_folder_without_runs_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import search_curves

    with pytest.raises(SystemExit):
        search_curves.main(["--runs", str(tmp_path), "--out", str(tmp_path / "out")])
    assert "no seed has been searched in both ways" in capsys.readouterr().err
