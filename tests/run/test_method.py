"""Training methods, an average of weights and a teacher through a whole run."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor, nn

from spos._util.errors import UserError
from spos._util.listener import Silent
from spos.report.facts import TrainFacts
from spos.report.result import Result, read_result
from spos.run import run
from spos.training import Checkpoints, Method, Pass, Teacher

RECIPE = {"steps": 8, "batch_size": 16, "warmup_steps": 2}
GIVEN: dict[str, Any] = {
    "space": {"name": "plain", "preset": "tiny"},
    "layout": {"layers": 3, "filters": [4, 8]},
    "data": {"source": "digits", "validation": 64},
    "run": {"evaluation_batch": 64, "calibration": 64},
    "supernet": RECIPE,
    "retrain": RECIPE,
    "search": {"population": 4, "iterations": 1, "parents": 2},
}


def given(**sections: dict[str, Any]) -> dict[str, Any]:
    return {name: {**values, **sections.get(name, {})} for name, values in GIVEN.items()}


def without_times(out: Path) -> Result:
    return replace(read_result(out / "result.json"), seconds={})


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """A finished run by the method that is the default; not to be written to."""
    out = tmp_path_factory.mktemp("plain") / "run"
    return out, run(out, given())


class Mirrored(Method):
    """One random path, on the images and on their mirror images."""

    label = "mirrored paths"
    passes = 2

    def losses(self, step: int, inputs: Tensor, targets: Tensor) -> Iterator[Pass]:
        self.supernet.activate(self.supernet.space.sample(self.random(step)))
        yield self.forward(inputs, targets)
        yield self.forward(inputs.flip(-1), targets)


class Killed(Silent):
    """Simulates a kill in the training of a stage."""

    def __init__(self, stage: str) -> None:
        self.stage = stage

    def progress(self, stage: str, done: int, total: int, detail: str) -> None:
        if stage == self.stage and done >= 5:
            raise RuntimeError("killed")


def test_a_custom_method_serves_a_whole_run(plain: tuple[Path, Result], tmp_path: Path) -> None:
    out = tmp_path / "run"
    result = run(out, given(), method=Mirrored)
    assert result.train == TrainFacts(8, "Mirrored", "mirrored paths")
    assert 0 < result.retrain.test_score <= 1
    assert yaml.safe_load((out / "config.yaml").read_text())["supernet"]["method"] == "Mirrored"
    # What is trained needs the class no more.
    again = run(out, {})
    assert again.winner == result.winner
    with pytest.raises(UserError, match=r"supernet.method is Mirrored there and uniform here"):
        run(out, {}, method="uniform")
    trained = [Checkpoints(path / "supernet").load() for path in (out, plain[0])]
    left, right = (one.tensors for one in trained if one is not None)
    assert left.keys() != right.keys() or any(not torch.equal(left[n], right[n]) for n in left)


@pytest.mark.parametrize("method", ["uniform", "fair", "sandwich"])
def test_a_run_that_was_killed_finds_the_same_by_every_method(tmp_path: Path, method: str) -> None:
    options = {"supernet": {"method": method, "ema": 0.5}, "retrain": {"ema": 0.5}}
    sections = given(run={"save_every": 0}, **options)
    # The method is that of the supernet: the network found is trained by the same code after each.
    stages = ("train", "search", "retrain") if method == "uniform" else ("train", "search")
    for stage in (stage for stage in stages if stage != "search"):
        with pytest.raises(RuntimeError, match="killed"):
            run(tmp_path / "killed", sections, stages, listener=Killed(stage))
    run(tmp_path / "killed", sections, stages)
    run(tmp_path / "whole", given(**options), stages)
    assert without_times(tmp_path / "killed") == without_times(tmp_path / "whole")
    assert without_times(tmp_path / "whole").train.method == method


@pytest.mark.parametrize(
    ("sections", "told"),
    [
        ({"retrain": {"paths": 4}}, "unknown setting 'retrain.paths'"),
        ({"retrain": {"widening_steps": 2}}, "unknown setting 'retrain.widening_steps'"),
        ({"supernet": {"method": "fiar"}}, "unknown training method 'fiar': did you mean 'fair'?"),
        ({"supernet": {"method": "fair", "paths": 4}}, "paths 4: the training method Fair does"),
        (
            {"supernet": {"method": "uniform"}, "search": {"algorithm": "darts"}},
            "supernet.method uniform: --algorithm darts needs a supernet trained by the method",
        ),
        ({"supernet": {"method": "darts"}}, "supernet.method darts trains theta"),
        ({"supernet": {"ema": 1.0}}, "supernet.ema 1.0: must be below 1"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(
    tmp_path: Path, sections: dict[str, Any], told: str
) -> None:
    with pytest.raises(UserError) as raised:
        run(tmp_path / "run", given(**sections))
    assert told in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not list(tmp_path.iterdir())


def test_former_settings_of_the_retraining_that_decided_nothing_are_ignored(
    plain: tuple[Path, Result], tmp_path: Path
) -> None:
    out, first = tmp_path / "run", plain[1]
    shutil.copytree(plain[0], out)
    config = yaml.safe_load((out / "config.yaml").read_text())
    config["retrain"].update(paths=1, widening_steps=0)
    (out / "config.yaml").write_text(yaml.safe_dump(config))
    assert run(out, {}).retrain == first.retrain
    config["retrain"]["paths"] = 4
    (out / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(UserError, match=r"was made with retrain\.paths 4, which is no longer a"):
        run(out, {})


def test_the_networks_found_learn_from_a_teacher(
    plain: tuple[Path, Result], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    out = tmp_path / "taught"
    with pytest.raises(RuntimeError, match="killed"):
        run(out, given(run={"save_every": 0}), teacher=network, listener=Killed("retrain"))
    with pytest.raises(UserError, match="was trained with the teacher Sequential"):
        run(out, {}, teacher=Teacher(network, weight=0.9))
    taught = run(out, {}, teacher=network)
    assert taught.winner == plain[1].winner
    assert taught.retrain.teacher.startswith("Sequential (")
    states = [Checkpoints(path / "retrain").load() for path in (out, plain[0])]
    left, right = (one.tensors for one in states if one is not None)
    assert any(not torch.equal(left[name], right[name]) for name in left)


def test_an_instance_is_not_a_method(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"the training method is .*: give a name, or a class"):
        run(tmp_path / "run", given(), method=Mirrored(nn.Identity(), None, None, 0))
