"""Trainings that begin from the weights of a file."""

from __future__ import annotations

import json
import pickle
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import spos
from spos import UserError
from spos.run import RunDirectory, run
from spos.run.initial import BROUGHT, brought
from spos.run.known_weights import match_weights
from spos.training.checkpoint import Checkpoints
from spos.training.weights import match_state, read_state

#: Nothing moves: what a training begins from is what it ends with.
STILL = {"steps": 2, "batch_size": 16, "learning_rate": 1e-30, "weight_decay": 0.0}
GIVEN: dict[str, Any] = {
    "layout": {"channels": [16, 32], "depths": [1, 2]},
    "run": {"evaluation_batch": 64, "calibration": 64},
    "data": {"validation": 64},
    "supernet": STILL,
    "search": {"population": 4, "iterations": 1, "parents": 2},
    "retrain": STILL,
}


class Told:
    def __init__(self) -> None:
        self.messages: list[str] = []

    def message(self, text: str) -> None:
        self.messages.append(text)

    def progress(self, stage: str, done: int, total: int, detail: str) -> None: ...


def given(**sections: dict[str, Any]) -> dict[str, Any]:
    return {
        name: {**GIVEN.get(name, {}), **sections.get(name, {})} for name in {**GIVEN, **sections}
    }


def weights_of(out: Path, folder: str = "supernet") -> dict[str, Tensor]:
    loaded = Checkpoints(out / folder).load()
    assert loaded is not None
    return {
        name.removeprefix("model."): value
        for name, value in loaded.tensors.items()
        if name.startswith("model.")
    }


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run from fresh weights of another seed, whose supernet the others begin from."""
    out = tmp_path_factory.mktemp("first") / "run"
    run(out, given(run={"seed": 7}))
    return out


@pytest.fixture(scope="module")
def file(first: Path) -> Path:
    """Its supernet, without one tensor, as a wrapper of torch names them."""
    state = {f"module.{name}": value for name, value in weights_of(first).items()}
    del state[sorted(name for name in state if name.endswith("weight"))[0]]
    path = first.parent / "weights.pth"
    torch.save({"state_dict": state, "epoch": 3}, path)
    return path


@pytest.fixture(scope="module")
def begun(first: Path, file: Path) -> tuple[Path, list[str]]:
    out, told = first.parent / "begun", Told()
    run(out, given(supernet={"init": str(file)}), ("train",), listener=told)
    return out, told.messages


def test_the_supernet_has_the_weights_of_the_file(
    begun: tuple[Path, list[str]], file: Path, first: Path
) -> None:
    state = torch.load(file, weights_only=True)["state_dict"]
    found = weights_of(begun[0])
    same = [name for name in found if name.endswith("weight") and f"module.{name}" in state]
    assert len(same) > 20
    assert all(torch.equal(found[name], state[f"module.{name}"]) for name in same)
    (lacking,) = set(found) - {name.removeprefix("module.") for name in state}
    assert not torch.equal(found[lacking], weights_of(first)[lacking])


def test_what_was_taken_is_said_in_one_line(begun: tuple[Path, list[str]], file: Path) -> None:
    (line,) = [one for one in begun[1] if one.startswith("--init")]
    found = weights_of(begun[0])
    assert f"{len(found) - 1} of {len(found)} tensors taken; fresh: 1 (" in line
    assert line.endswith("left in the file: none")


def test_the_file_is_known_by_its_digest(
    begun: tuple[Path, list[str]],
    file: Path,
    first: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out, moved = begun[0], tmp_path / "moved.pth"
    shutil.copy(file, moved)
    monkeypatch.setenv("HOME", str(tmp_path))
    run(out, given(supernet={"init": "~/moved.pth"}), ("train",))
    other = tmp_path / "other.safetensors"
    save_file(weights_of(first), other)
    with pytest.raises(UserError, match=r"supernet\.init_sha256 is \w+ there and \w+ here"):
        run(out, given(supernet={"init": str(other)}), ("train",))
    config = RunDirectory(out).read_config()
    assert re.fullmatch(r"[0-9a-f]{64}", config["supernet"]["init_sha256"])


def test_a_training_that_was_begun_does_not_begin_again(
    begun: tuple[Path, list[str]], file: Path, tmp_path: Path
) -> None:
    out, told = tmp_path / "run", Told()
    shutil.copytree(begun[0], out)
    (out / "train.json").unlink()
    run(out, given(), ("train",), listener=told)
    assert not [one for one in told.messages if one.startswith("--init")]


def test_the_winner_begins_from_a_file(first: Path, tmp_path: Path) -> None:
    trained = weights_of(first, "retrain")
    path, out, told = tmp_path / "winner.safetensors", tmp_path / "run", Told()
    save_file({name: value + 0.25 for name, value in trained.items() if value.ndim}, path)
    shutil.copytree(first, out)
    for name in ("retrain.json", "predictions.json"):
        (out / name).unlink()
    shutil.rmtree(out / "retrain")
    # The settings of a retraining that has not begun are free.
    text = (out / "config.yaml").read_text()
    (out / "config.yaml").write_text(text[: text.index("network:")])
    run(out, given(run={"seed": 7}, network={"weights": str(path)}), listener=told)
    found = weights_of(out, "retrain")
    kernels = [name for name, value in found.items() if value.ndim == 4]
    assert kernels
    assert all(torch.equal(found[name], trained[name] + 0.25) for name in kernels)
    (line,) = [one for one in told.messages if one.startswith("--retrain-from")]
    assert "tensors taken" in line
    assert json.loads((out / "retrain.json").read_text())["weights"] == "file"
    assert "from weights of a file" in (out / "report.html").read_text()
    # A run that reuses it may begin from something else.
    other = given(run={"seed": 7}, network={"weights": "supernet"})
    for _ in range(2):
        result = run(tmp_path / "other", other, reuse=out)
    assert result.retrain and result.retrain.weights == "supernet"


def test_a_file_in_which_nothing_fits_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"stem.0.wait": torch.zeros(3, 3)}, path)
    for section, name in (("supernet", "init"), ("network", "weights")):
        with pytest.raises(UserError, match=r"none of its 1 tensors .*; nearest: stem\.0\.wait"):
            run(tmp_path / "run", given(**{section: {name: str(path)}}))
        assert not (tmp_path / "run").exists()


class Harmful:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.write_text, (Path("harmed"), "x"))


def test_code_in_a_file_never_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {"a": torch.zeros(1)}, "more": Harmful()}, "harmful.pt")
    with pytest.raises(UserError, match="refused: reading it would run"):
        run(tmp_path / "run", given(supernet={"init": "harmful.pt"}))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["harmful.pt"]


@pytest.mark.parametrize(
    "change",
    [
        Tensor.to_sparse,
        lambda value: value.to("meta"),
        lambda value: torch.quantize_per_tensor(value, 0.1, 0, torch.qint8),
        lambda value: value.to(torch.complex64),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_tensors_that_are_no_weights_are_refused(change: Any, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save({"a": torch.zeros(2, 2), "b": change(torch.ones(2, 2))}, path)
    with pytest.raises(
        UserError, match=r"b is a tensor of .*; allowed: dense ones of real numbers"
    ):
        read_state(path)


def test_a_file_is_refused_without_a_warning(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    (tmp_path / "weights.pth").write_bytes(pickle.dumps({"a": [1]}, protocol=4))
    with pytest.raises(UserError, match="damaged or not a checkpoint"):
        read_state(tmp_path / "weights.pth")
    assert not list(recwarn)


@pytest.mark.parametrize(
    ("section", "name", "line"),
    [
        ("supernet", "init", "--init superne: no such file"),
        ("network", "weights", "--retrain-from superne: no such file; did you mean 'supernet'"),
    ],
)
def test_a_file_that_is_not_there_is_refused(
    section: str, name: str, line: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=line):
        run(tmp_path / "run", given(**{section: {name: "superne"}}))
    assert not (tmp_path / "run").exists()


class Two(nn.Sequential):
    """A model of a user's own; a subclass of Sequential, as many are."""

    def __init__(self) -> None:
        kernels = {f"{k}x{k}": nn.Conv2d(1, 8, k, padding=k // 2) for k in (1, 3)}
        head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10))
        super().__init__(spos.OneOf(kernels), nn.BatchNorm2d(8), nn.ReLU(), head)


def test_a_model_brings_its_weights(tmp_path: Path) -> None:
    torch.manual_seed(3)
    model = Two()
    for parameter in model[1].parameters():
        nn.init.uniform_(parameter, 0.5, 2.0)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    settings = {**GIVEN, "layout": {}}
    more: dict[str, Any] = {"settings": settings, "compare": 0, "threads": 1, "init": "model"}
    spos.search(model, "digits", out=tmp_path / "run", **more)
    found = weights_of(tmp_path / "run")
    learned = [name for name in before if name.endswith(("weight", "bias"))]
    assert len(learned) == 8
    assert not [name for name in learned if not torch.equal(found[f"model.{name}"], before[name])]
    # The affine parameters are those of the network found, too.
    assert "1.weight" in weights_of(tmp_path / "run", "retrain")
    kept = (tmp_path / "run" / "init.safetensors").read_bytes()
    spos.search(model, "digits", out=tmp_path / "run", **more)
    nn.init.ones_(model[1].weight)
    with pytest.raises(UserError, match="was begun with other weights"):
        spos.search(model, "digits", out=tmp_path / "run", **more)
    assert (tmp_path / "run" / "init.safetensors").read_bytes() == kept
    assert load_file(tmp_path / "run" / "init.safetensors").keys() == before.keys()


def test_a_call_leaves_the_weights_of_another_one_that_plans(tmp_path: Path) -> None:
    first, second = Two(), Two()
    with brought(first, tmp_path / "run"):
        kept = (tmp_path / "run" / BROUGHT).read_bytes()

        def call() -> None:
            with brought(second, tmp_path / "run"):
                raise RuntimeError("nothing is written")

        with (
            ThreadPoolExecutor(1) as pool,
            pytest.raises(UserError, match="another spos process is using it"),
        ):
            pool.submit(call).result()
        # What a run does inside.
        with pytest.raises(UserError, match="refused"), RunDirectory(tmp_path / "run").open():
            raise UserError("refused")
        assert (tmp_path / "run" / BROUGHT).read_bytes() == kept
    assert not (tmp_path / "run").exists()


def test_a_space_by_name_brings_no_weights(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="init 'model': mobile is no model"):
        spos.search("mobile", "digits", init="model", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "weight",
    [
        torch.full((2, 3), torch.nan),
        torch.full((2, 3), 1e300, dtype=torch.float64),
        torch.ones(2, 3, dtype=torch.int8),
        torch.ones(2, 3, dtype=torch.bool),
    ],
    ids=["not a number", "beyond the range", "quantised", "a mask"],
)
def test_weights_that_are_no_finite_floats_are_refused(weight: torch.Tensor) -> None:
    state = {"weight": weight}
    with pytest.raises(UserError, match=r"^a.pth: weight is of .*allowed: finite floats"):
        match_state(nn.Linear(3, 2), state, "a.pth")
    with pytest.raises(UserError, match=r"^a.pth: weight is of .*allowed: finite floats"):
        match_weights(nn.Linear(3, 2), {**state, "bias": torch.ones(2)}, "a.pth", 2)
    half = {"weight": torch.ones(2, 3).half(), "left": torch.tensor(-torch.inf)}
    assert match_state(nn.Linear(3, 2), half, "a.pth").pairs == {"weight": "weight"}
