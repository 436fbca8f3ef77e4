"""Trainings whose every step is kept."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from lightning_fabric import Fabric
from torch import Tensor, nn

sys.path.append(str(Path(__file__).parent))
from trainings import RECIPE, SEED, Batches, batches

from spos.training.checkpoint import Checkpoints
from spos.training.loop import TrainingEnd, train
from spos.training.recipe import Recipe


@pytest.fixture
def fit(tmp_path: Path) -> Callable[..., TrainingEnd]:
    """Train with a checkpoint after every step, all of which are kept."""

    def fit(
        model: nn.Module,
        recipe: Recipe = RECIPE,
        load: Batches | None = None,
        folder: str = "run",
        **options: object,
    ) -> TrainingEnd:
        fabric = options.pop("fabric", None) or Fabric(accelerator="cpu", devices=1)
        options = {"save_every": 0.0, "seed": SEED, **options}
        load = load or batches(recipe.steps)
        checkpoints = Checkpoints(tmp_path / folder, keep=100)
        return train(fabric, model, load, recipe, checkpoints, **options)

    return fit


@pytest.fixture
def states(tmp_path: Path) -> Callable[..., dict[int, dict[str, Tensor]]]:
    """What the checkpoints of a training hold, by step."""

    def states(folder: str = "run") -> dict[int, dict[str, Tensor]]:
        found = {}
        checkpoints = Checkpoints(tmp_path / folder)
        for path in sorted((tmp_path / folder).glob("*"), reverse=True):
            loaded = checkpoints.load()
            assert loaded is not None
            found[loaded.step] = loaded.tensors
            path.unlink()
        return found

    return states
