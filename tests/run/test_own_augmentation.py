"""Runs with an augmentation of the user's own: from Python, by its name, and resumed."""

from __future__ import annotations

import linecache
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import spos
from spos import UserError
from spos._util.listener import Silent
from spos.data import register_augmentation
from spos.data.own_augmentation import _GIVEN
from spos.run import run
from spos.run.config import make_config
from spos.run.context import Context
from spos.run.directory import RunDirectory

RECIPE = {"steps": 4, "batch_size": 16, "warmup_steps": 0}
GIVEN: dict[str, Any] = {
    "space": {"name": "plain", "preset": "tiny"},
    "run": {"evaluation_batch": 64, "calibration": 64},
    "data": {"validation": 64},
    "supernet": RECIPE,
    "search": {"population": 2, "iterations": 1, "parents": 1},
    "retrain": RECIPE,
}


def dropped(image: torch.Tensor) -> torch.Tensor:
    """A random pixel in two is black."""
    return image * (torch.rand(image.shape) < 0.5)


def cropped(image: torch.Tensor) -> torch.Tensor:
    return image[:, 1:]


@pytest.fixture
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "my_transforms", raising=False)


def write(factor: int) -> None:
    text = f"import torch\ndef half(image):\n    return image // {factor}\n"
    Path("my_transforms.py").write_text(text)
    sys.modules.pop("my_transforms", None)


@pytest.mark.usefixtures("_here")
def test_a_function_by_its_name_is_resumed_and_another_one_is_refused(tmp_path: Path) -> None:
    write(2)
    given = {**GIVEN, "retrain": {**RECIPE, "augment": "my_transforms:half"}}
    out = tmp_path / "run"
    run(out, given, ("train",))
    result = run(out, given)
    assert "my_transforms:half@" in (out / "config.yaml").read_text()
    plain = run(tmp_path / "plain", GIVEN, reuse=out, stages=("search",))
    assert plain.winner.score == result.winner.score
    assert run(out, {}).retrain == result.retrain
    write(3)
    linecache.clearcache()
    with pytest.raises(UserError, match=r"retrain.augment is my_transforms:half@.* there and"):
        run(out, given)
    # As long as nothing is trained with it, it is not needed.
    assert run(out, {}).retrain == result.retrain
    (out / "retrain.json").unlink()
    for path in (out / "retrain").iterdir():
        path.unlink()
    with pytest.raises(UserError, match="the run was started with another function"):
        run(out, {}, ("retrain",))


def test_a_function_is_given_from_python(tmp_path: Path) -> None:
    given = {name: values for name, values in GIVEN.items() if name != "space"}
    found = spos.search(
        "plain", "digits", augment=dropped, settings=given, compare=0, threads=1, out=tmp_path / "a"
    )
    text = (tmp_path / "a" / "config.yaml").read_text()
    assert text.count("own:dropped@") == 2
    assert 0 <= found.accuracy <= 1
    other = {**given, "supernet": {**RECIPE, "augment": "none"}}
    spos.search(
        "plain", "digits", augment=dropped, settings=other, compare=0, threads=1, out=tmp_path / "b"
    )
    assert (tmp_path / "b" / "config.yaml").read_text().count("own:dropped@") == 1


def test_what_returns_no_image_is_refused_before_the_supernet_is_trained(tmp_path: Path) -> None:
    given = {**GIVEN, "retrain": {**RECIPE, "augment": register_augmentation(cropped)}}
    with pytest.raises(UserError, match=r"returns torch.uint8 \[1, 7, 8\] for an image"):
        run(tmp_path / "run", given)
    assert not (tmp_path / "run").exists()


def test_other_processes_get_the_function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = register_augmentation(dropped)
    config = make_config({"retrain": {"augment": name}})
    sent = pickle.dumps(Context(config, {}, RunDirectory(tmp_path), Silent()))
    monkeypatch.delitem(_GIVEN, name)
    pickle.loads(sent)
    assert _GIVEN[name] is dropped


@pytest.mark.parametrize("stage", ["supernet", "retrain"])
def test_a_policy_whose_package_is_missing_is_refused_before_the_supernet_is_trained(
    stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    given = {**GIVEN, stage: {**RECIPE, "augment": "rich"}}
    with pytest.raises(UserError, match=r"install 'spos\[augment\]'"):
        run(tmp_path / "run", {**given, "data": {"source": "digits", "validation": 64}})
    assert not (tmp_path / "run" / "train.json").exists()


def test_an_unknown_policy_is_one_line() -> None:
    with pytest.raises(UserError, match=r"unknown retrain.augment 'standart': did you mean"):
        make_config({"retrain": {"augment": "standart"}})
