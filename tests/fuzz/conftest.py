"""Modules of cases by their names, as the processes that run them import them."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path += [str(Path(__file__).parent), str(Path(__file__).parents[1] / "cli")]
from material import make_material

#: Folder in memory, if there is one: on some disks, removing the files of a case takes longer than
#: the case. And bytes that must be free there.
MEMORY, NEEDED = Path("/dev/shm"), 1 << 30


@pytest.fixture(scope="session")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, exported networks, images and a latency table; only to be read."""
    folder = tmp_path_factory.mktemp("fuzz") / "material"
    make_material(folder)
    return folder


@pytest.fixture
def cases(tmp_path: Path) -> Iterator[Path]:
    """A folder for cases, which does not exist yet."""
    fast = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > NEEDED
    with tempfile.TemporaryDirectory(dir=MEMORY if fast else tmp_path) as folder:
        yield Path(folder) / "cases"
