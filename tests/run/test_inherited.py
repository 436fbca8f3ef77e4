"""Trainings of stand-alone networks that begin from the weights of the supernet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spos import UserError
from spos.run import network as building
from spos.run import run

RECIPE = {"steps": 6, "batch_size": 16}
GIVEN: dict[str, Any] = {
    "layout": {"channels": [16, 32], "depths": [1, 2]},
    "run": {"evaluation_batch": 64, "calibration": 64},
    "data": {"validation": 64},
    "supernet": {**RECIPE, "steps": 20},
    "search": {"population": 4, "iterations": 1, "parents": 4},
    "finalists": {"count": 2, "share": 0.5},
    "retrain": RECIPE,
    "network": {"weights": "supernet"},
}


@pytest.fixture(scope="module")
def begun() -> list[tuple[str, dict[str, Tensor]]]:
    """What the trainings of the run began from: weights and state of each network."""
    return []


@pytest.fixture(scope="module")
def inherited(tmp_path_factory: pytest.TempPathFactory, begun: list[Any]) -> Path:
    folder = tmp_path_factory.mktemp("inherited") / "run"
    build = building.build_run_network

    def watched(*arguments: Any, **more: Any) -> tuple[nn.Module, dict[str, int]]:
        network, costs = build(*arguments, **more)
        kept = {name: value.clone() for name, value in network.state_dict().items()}
        begun.append((arguments[1], kept))
        return network, costs

    with pytest.MonkeyPatch.context() as patch:
        for module in ("fit", "finalists"):
            patch.setattr(f"spos.run.{module}.build_run_network", watched)
        run(folder, GIVEN, compare=1)
    return folder


def test_every_training_begins_from_the_weights_of_the_supernet(
    inherited: Path, begun: list[Any]
) -> None:
    from safetensors.torch import load_file

    path = max((inherited / "supernet").glob("*.safetensors"))
    trained = {
        name.removeprefix("model."): value
        for name, value in load_file(path).items()
        if name.startswith("model.")
    }
    # Two finalists of two rungs at most, the winner, a random network and a uniform one.
    assert len(begun) >= 4
    known = [value for value in trained.values() if value.ndim == 4]
    for _, state in begun:
        weights = [value for value in state.values() if value.ndim == 4]
        assert weights
        for weight in weights:
            assert any(
                weight.shape == one.shape and torch.equal(weight.cpu(), one) for one in known
            )


def test_batch_norm_is_recalibrated_for_each_network(inherited: Path, begun: list[Any]) -> None:
    for _, state in begun:
        batches = [value for name, value in state.items() if name.endswith("num_batches_tracked")]
        assert batches and all(int(value) == 1 for value in batches)


def test_the_record_and_the_report_say_so(inherited: Path) -> None:
    assert json.loads((inherited / "retrain.json").read_text())["weights"] == "supernet"
    page = (inherited / "report.html").read_text()
    assert "from the weights of the supernet" in page and "from scratch" not in page
    config = (inherited / "config.yaml").read_text()
    assert "weights: supernet" in config


def test_the_same_command_again_changes_nothing(inherited: Path) -> None:
    before = (inherited / "result.json").read_text()
    run(inherited, GIVEN, compare=1)
    assert (inherited / "result.json").read_text() == before


def test_a_published_network_has_no_weights_in_the_supernet(inherited: Path) -> None:
    given = {**GIVEN, "network": {"weights": "supernet", "name": "mobilenet_v2"}}
    with pytest.raises(UserError, match="'mobilenet_v2' is not a network of the supernet"):
        run(inherited.parent / "published", given, stages=("retrain",))


def test_without_a_supernet_there_is_nothing_to_inherit(tmp_path: Path) -> None:
    given = {**GIVEN, "network": {"weights": "supernet", "name": "0,0,0"}}
    with pytest.raises(UserError, match="has no trained supernet"):
        run(tmp_path / "run", given, stages=("retrain",))
