"""Networks of runs as files."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spos import OneOf, Supernet, Task, UserError
from spos._util.files import read_json, write_json
from spos.data import ImageData, dataset_data
from spos.export import export_run, formats
from spos.export.metadata import OpenedNetwork
from spos.export.source import load_source
from spos.export.weights_file import read_weights
from spos.run import run
from spos.spaces import SPACES, Family
from spos.training.defaults import Defaults
from spos.training.recipe import Recipe


def test_weights_come_with_their_source(own_run: Path):
    facts = export_run(own_run, "state-dict")
    told = json.loads((own_run / "network.safetensors.json").read_text())
    assert told == json.loads(json.dumps(facts))
    content = (own_run / "network.safetensors").read_bytes()
    assert facts["sha256"] == hashlib.sha256(content).hexdigest()
    assert facts["files"] == [
        "network.safetensors",
        "network.py",
        "network.safetensors.md",
        "network.safetensors.json",
    ]
    metadata, tensors = read_weights(own_run / "network.safetensors")
    assert metadata.architecture == "1,3" and metadata.classes == tuple("0123456789")
    network = load_source((own_run / "network.py").read_text())
    network.load_state_dict(tensors)
    retrained = json.loads((own_run / "retrain.json").read_text())
    # All test images were compared, so that the file has the accuracy that the run measured.
    assert facts["check"]["images"] == facts["check"]["agreeing"] == retrained["test_images"]
    assert facts["check"]["correct"] == round(retrained["test_score"] * retrained["test_images"])
    assert facts["costs"] == retrained["costs"]
    assert facts["latency"]["median_us"] > 0


def test_the_folder_is_as_before_where_an_export_fails(
    own_run: Path, monkeypatch: pytest.MonkeyPatch
):
    before = sorted(own_run.iterdir())
    good = formats.FORMATS["state-dict"]

    def wrong(path: Path) -> OpenedNetwork:
        opened = good.open(path)
        return dataclasses.replace(opened, run=lambda images: opened.run(images) + 0.01)

    bad = dataclasses.replace(good, open=wrong)
    monkeypatch.setitem(formats.FORMATS, "state-dict", bad)
    with pytest.raises(UserError, match=r"differs from the trained one by 0\.01"):
        export_run(own_run, "state-dict")
    assert sorted(own_run.iterdir()) == before


@pytest.mark.parametrize("form", formats.FORMATS)
def test_a_full_disk_names_the_file_that_was_asked_for(form: str, own_run: Path):
    before, left = resource.getrlimit(resource.RLIMIT_FSIZE), sorted(own_run.iterdir())
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OSError, match=r"File too large.*/run/network\.[a-z0-9]+'$"):
            export_run(own_run, form)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert sorted(own_run.iterdir()) == left


def test_source_that_is_not_ours_stays(own_run: Path, tmp_path: Path):
    own = tmp_path / "model.py"
    own.write_text("print('mine')\n")
    with pytest.raises(UserError, match=r"would replace .*model\.py"):
        export_run(own_run, "state-dict", tmp_path / "model.safetensors")
    assert own.read_text() == "print('mine')\n"
    # Our own may be written again.
    for _ in range(2):
        export_run(own_run, "state-dict", tmp_path / "net.safetensors")
    for name, nearest in [("class", "class_network"), ("torch", "torch_network"), ("a-b", "a_b")]:
        with pytest.raises(UserError, match=rf"nearest valid: .*/{nearest}\.safetensors"):
            export_run(own_run, "state-dict", tmp_path / f"{name}.safetensors")


def test_a_kill_never_leaves_a_network_beside_what_belongs_to_another(
    own_run: Path, monkeypatch: pytest.MonkeyPatch
):
    export_run(own_run, "state-dict")
    replaced = []
    replace = os.replace

    def kill(source: Any, target: Any) -> None:
        if len(replaced) == 2:
            raise KeyboardInterrupt
        replaced.append(target)
        replace(source, target)

    monkeypatch.setattr(os, "replace", kill)
    with pytest.raises(KeyboardInterrupt):
        export_run(own_run, "state-dict", fold=False)
    assert len(replaced) == 2 and not (own_run / "network.safetensors").exists()
    monkeypatch.undo()
    facts = export_run(own_run, "state-dict", fold=False)
    content = (own_run / "network.safetensors").read_bytes()
    assert facts["sha256"] == hashlib.sha256(content).hexdigest()
    assert not list(own_run.glob(".network*"))


def rewrite(path: Path, **changes: Any) -> None:
    write_json(path, {**read_json(path), **changes})


def alter(path: Path) -> None:
    path.write_text(path.read_text().replace('"test_score": 0.', '"test_score": 0.9'))


MISTAKES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no run": (lambda run: (run / "config.yaml").unlink(), "run is not a run directory"),
    "not retrained": (lambda run: (run / "retrain.json").unlink(), "run spos retrain --out"),
    "a damaged outcome": (
        lambda run: (run / "retrain.json").write_text('{"seconds": 1}'),
        r"retrain\.json is damaged",
    ),
    "an altered outcome": (
        lambda run: alter(run / "retrain.json"),
        r"retrain\.json is damaged \(it does not hold what was written to it",
    ),
    "no checkpoint": (
        lambda run: [path.unlink() for path in (run / "retrain").iterdir()],
        "has no trained network any more: 0 of 20 steps",
    ),
    "a damaged checkpoint": (
        lambda run: [path.write_bytes(b"x") for path in (run / "retrain").iterdir()],
        "every checkpoint in .* is damaged",
    ),
    "another network": (
        lambda run: rewrite(run / "retrain.json", architecture="2,2"),
        "the checkpoint belongs to another model",
    ),
    "other images": (
        lambda run: rewrite(run / "data.json", fingerprint="0"),
        "are not those that",
    ),
    # The model card would say it.
    "another test score": (
        lambda run: rewrite(run / "retrain.json", test_score=1.0),
        r"predictions\.json disagrees with the rest of the run: .* 100\.00% of 359 in retrain",
    ),
    "the result of another run": (
        lambda run: rewrite(run / "result.json", run="0"),
        r"result\.json is of another run than .*data\.json: rerun the command of the run",
    ),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_run_that_is_not_whole_is_one_line(case: str, own_run: Path):
    spoil, told = MISTAKES[case]
    spoil(own_run)
    before = sorted(own_run.iterdir())
    with pytest.raises(UserError, match=told) as caught:
        export_run(own_run, "torch-export")
    assert "\n" not in str(caught.value)
    assert sorted(own_run.iterdir()) == before


@dataclasses.dataclass(frozen=True)
class Layout:
    image_size: int = 8


def build(layout: Layout, *, classes: int, image_channels: int) -> Supernet:
    kernels = {f"{k}x{k}": nn.Conv2d(image_channels, 4, k, padding=k // 2) for k in (1, 3)}
    head = [nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 64, classes)]
    return Supernet(nn.Sequential(OneOf(kernels), *head), (image_channels, 8, 8))


def load() -> ImageData:
    random = torch.Generator().manual_seed(0)
    images = torch.randint(256, (60, 1, 8, 8), generator=random, dtype=torch.uint8)
    items = [(image, [float(image[0].float().mean()) / 255, 0.5]) for image in images]
    return dataset_data(items, targets="values", validation=0.3)


def closeness(outputs: Tensor, targets: Tensor) -> Tensor:
    return -(outputs - targets).abs().mean(1).sum()


def test_a_network_of_values_is_exported_but_predicts_no_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from spos.export import open_classifier

    recipe = Recipe(steps=8, batch_size=8, learning_rate=0.01)
    defaults = Defaults(supernet=recipe, retrain=recipe, calibration=64, data="dataset")
    member = Family(
        build=build, presets={"small": Layout()}, defaults={"small": defaults}, paper="none"
    )
    monkeypatch.setitem(SPACES, "own", member)
    out = tmp_path / "run"
    task = Task("closeness", loss=nn.functional.l1_loss, metric=closeness)
    given = {"space": {"name": "own", "preset": "small"}, "network": {"name": "1"}}
    run(out, given, ("retrain",), load=load, task=task)
    with pytest.raises(UserError, match=r"a Dataset of your own: export it in Python"):
        export_run(out, "torch-export")
    facts = export_run(out, "torch-export", load=load, task=task)
    assert facts["check"]["agreeing"] is None and facts["metadata"]["outputs"] == 2
    assert facts["test"]["metric"] == "closeness"
    card = (out / "network.pt2.md").read_text()
    assert "2 values per image, no classes" in card and "test closeness: -" in card
    with pytest.raises(UserError, match=r"trained on values \(closeness\), not on classes"):
        open_classifier(out / "network.pt2", trust=True)
