"""Runs on images of other libraries' formats, from the plan to the end."""

from __future__ import annotations

import io
import json
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import datasets
import pytest
from commands import Ended, result_of
from datasets import ClassLabel, Dataset, DatasetDict, Features
from PIL import Image
from test_folder_run import SETTINGS, picture

Cli = Callable[..., Ended]
CLASSES = ["bright", "dark"]


def pictures(count: int, first: int = 0) -> list[tuple[bytes, int]]:
    return [(picture(150 * (at % 2) + first + at), at % 2) for at in range(count)]


def shards(folder: Path, **splits: list[tuple[bytes, int]]) -> str:
    folder.mkdir(exist_ok=True)
    for name, content in splits.items():
        with tarfile.open(folder / f"{name}-0.tar", "w") as archive:
            for number, (image, label) in enumerate(content):
                for kind, data in (("png", image), ("cls", CLASSES[label].encode())):
                    member = tarfile.TarInfo(f"{number:03}.{kind}")
                    member.size = len(data)
                    archive.addfile(member, io.BytesIO(data))
    return f"webdataset:{folder}"


def table(folder: Path, **splits: list[tuple[bytes, int]]) -> str:
    datasets.disable_progress_bars()
    features = Features({"image": datasets.Image(), "label": ClassLabel(names=CLASSES)})
    made = {
        name: Dataset.from_dict(
            {
                "image": [{"bytes": image, "path": None} for image, _ in content],
                "label": [label for _, label in content],
            },
            features=features,
        )
        for name, content in splits.items()
    }
    DatasetDict(made).save_to_disk(folder)
    return f"hf:{folder}"


class Items:
    """A data set of torchvision of pictures that a test sets."""

    classes = CLASSES
    kept: dict[str, list[tuple[bytes, int]]] = {}  # noqa: RUF012

    def __init__(self, root: str, train: bool = True, download: bool = False) -> None:
        self.items = self.kept["train" if train else "test"]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        image, label = self.items[index]
        return Image.open(io.BytesIO(image)), label


def theirs(folder: Path, **splits: list[tuple[bytes, int]]) -> str:
    Items.kept = splits
    return f"torchvision:SVHN:{folder}"


@pytest.fixture
def _torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    made = SimpleNamespace(__all__=("SVHN",), SVHN=Items)
    monkeypatch.setitem(sys.modules, "torchvision", SimpleNamespace(datasets=made))


@pytest.mark.parametrize("make", [shards, table, theirs])
@pytest.mark.usefixtures("_torchvision")
def test_a_run_is_planned_made_and_resumed(
    make: Callable[..., str], cli: Cli, tmp_path: Path
) -> None:
    data = make(tmp_path / "set", train=pictures(24), test=pictures(6, 40))
    planned = cli("plan", "--data", data, "--threads", "1", "--workers", "1", "--json")
    assert planned.status == 0, planned.err
    assert json.loads(planned.out)["images"] == 24
    given = (*SETTINGS, "--data", data, "--max-flops", "2M", "--workers", "1")
    out = tmp_path / "run"
    assert cli("train", *given, "--out", out).status == 0
    ended = cli("run", *given, "--out", out)
    assert ended.status == 0, ended.err
    result = result_of(out)
    assert result["data"]["classes"] == CLASSES
    facts = {name: result["data"][name] for name in ("train", "validation", "test")}
    assert facts == {"train": 18, "validation": 6, "test": 6}
    # Streamed, in one go: the same images, and so the same result.
    whole = tmp_path / "whole"
    streamed = ("--stream", "always", "--data-workers", "1")
    assert cli("run", *given, *streamed, "--out", whole).status == 0
    same = ("winner", "retrain", "top")
    assert {name: result[name] for name in same} == {name: result_of(whole)[name] for name in same}
    # Other images than those that the run was started with.
    changed = pictures(24)
    changed[0], changed[1] = changed[1], changed[0]
    folder = tmp_path / "set"
    for path in sorted(folder.rglob("*"), reverse=True) if folder.exists() else ():
        path.unlink() if path.is_file() else path.rmdir()
    make(folder, train=changed, test=pictures(6, 40))
    (out / "retrain.json").unlink()
    (out / "predictions.json").unlink()
    told = cli("run", *given, "--out", out).mistake
    assert "are not those that" in told


@pytest.mark.parametrize("make", [shards, table])
def test_broken_images_are_left_out_on_request(
    make: Callable[..., str], cli: Cli, tmp_path: Path
) -> None:
    train = pictures(24)
    train[5] = train[5][0][:40], 1
    given = (*SETTINGS, "--data", make(tmp_path / "set", train=train, test=pictures(6, 40)))
    out = tmp_path / "run"
    assert "broken image" in cli("train", *given, "--out", out).mistake
    assert not out.exists()
    ended = cli("train", *given, "--on-broken", "skip", "--out", out)
    assert ended.status == 0 and any("spos: skipped " in line for line in ended.told)
    assert json.loads((out / "data.json").read_text())["train"] == 17
