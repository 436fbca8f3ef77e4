"""The notebook runs, and is stored without what it prints."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).resolve().parents[2] / "examples" / "search.ipynb"


def test_the_notebook_shows_a_tested_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    search, best, network = (cell for cell in notebook.cells if cell.cell_type == "code")
    assert search.source.count('time="10s"') == 1
    search.source = search.source.replace('time="10s"', 'time="4s"')
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=300, resources=resources).execute()
    page = search.outputs[-1]["data"]["text/html"]
    assert "test accuracy" in page and "report.html" in page
    assert len(best.outputs[0]["text"].splitlines()) == 3
    assert "Conv2d" in network.outputs[0]["data"]["text/plain"]
