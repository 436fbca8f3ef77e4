"""Modules of cases by their names, as the processes that run them import them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path += [str(Path(__file__).parent), str(Path(__file__).parents[1] / "cli")]
from material import make_material


@pytest.fixture(scope="session")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, exported networks, images and a latency table; only to be read."""
    folder = tmp_path_factory.mktemp("fuzz") / "material"
    make_material(folder)
    return folder
