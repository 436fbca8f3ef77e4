"""Small trained networks to export."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import fx

from spos.export.deployed import deploy
from spos.run import run

# The tests import the module beside this one by its name.
sys.path.append(str(Path(__file__).parent))
from networks import metadata, network_of

RECIPE = {"steps": 20, "batch_size": 32, "warmup_steps": 2, "augment": "crop"}
GIVEN: dict[str, Any] = {
    "space": {"name": "shufflenetv2", "preset": "tiny"},
    "layout": {"channels": [16, 24], "depths": [1, 1]},
    "data": {"source": "digits", "validation": 64},
    "network": {"name": "1,3"},
    "retrain": RECIPE,
}


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one network on the digits; not to be written to."""
    out = tmp_path_factory.mktemp("runs") / "run"
    run(out, GIVEN, ("retrain",))
    return out


@pytest.fixture
def own_run(trained_run: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    out = tmp_path / "run"
    shutil.copytree(trained_run, out)
    return out


@pytest.fixture(scope="session")
def graph_of() -> Callable[..., fx.GraphModule]:
    """The deployed network of a space."""

    def get(space: str, *, fold: bool = True, option: int = 1) -> fx.GraphModule:
        return deploy(network_of(space, option), metadata(), fold=fold)

    return get


@pytest.fixture(scope="session")
def pixels() -> torch.Tensor:
    random = torch.Generator().manual_seed(2)
    return torch.randint(256, (7, 1, 8, 8), generator=random, dtype=torch.uint8)
