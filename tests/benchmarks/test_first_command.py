"""The benchmark of the first command, on a few small images."""

from __future__ import annotations

import json
import sys
import zipfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

import first_command

from spos.run.planning.execute import run_planned


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    path = tmp_path / "images.zip"
    with zipfile.ZipFile(path, "w") as written:
        for label in ("cat", "dog", "ship"):
            for number in range(60):
                buffer = BytesIO()
                pixels = random.integers(0, 255, (16, 16, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(buffer, "PNG")
                written.writestr(f"train/{label}/{number}.png", buffer.getvalue())
    return path


def test_folders_are_cut_and_runs_are_timed(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[Sequence[str]] = []

    def run_here(command: Sequence[str], log: Path) -> None:
        commands.append(command)
        out = Path(command[command.index("--out") + 1])
        if "--compare" in command:
            run_planned(out, {}, threads=1, compare=int(command[command.index("--compare") + 1]))
            return
        source = command[command.index("--data") + 1]
        run_planned(out, {"data": {"source": source}}, seconds=6, threads=1)

    monkeypatch.setattr(first_command, "run_command", run_here)
    arguments = ["--data", str(archive), "--cases", "80:2", "--tests", "40", "--times", "6s"]
    arguments += ["--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "results")]
    first_command.main(arguments)
    names = [
        {path.name for path in (tmp_path / "runs" / "images-80-2" / split).rglob("*.png")}
        for split in ("train", "test")
    ]
    folders = sorted((tmp_path / "runs" / "images-80-2" / "train").iterdir())
    assert [folder.name for folder in folders] == ["cat", "dog"]
    assert len(list(folders[0].iterdir())) == 40 and len(names[1]) >= 20
    for label in ("cat", "dog"):
        train, test = (
            {path.name for path in (tmp_path / "runs" / "images-80-2" / split / label).iterdir()}
            for split in ("train", "test")
        )
        assert len(test) == 20 and not train & test
    (only,) = json.loads((tmp_path / "results" / "summary.json").read_text())["rows"]
    assert only["test images"] == 40 and only["found"].endswith("%")
    first_command.main(arguments)
    assert len(commands) == 1
    first_command.main([*arguments, "--compare", "4"])
    (more,) = json.loads((tmp_path / "results" / "summary.json").read_text())["rows"]
    assert more["random below"].endswith(" of 4") and more["deviation"].endswith("%")
    assert 0 < more["compared after"] < more["steps"]
    assert {name: more[name] for name in ("found", "taken")} == {
        name: only[name] for name in ("found", "taken")
    }


def test_photographs_are_enlarged_and_turned_images_are_further_classes(
    archive: Path, tmp_path: Path
) -> None:
    first_command.cut_folder(archive, 40, 5, 10, tmp_path / "cut", photos=True)
    classes = {"cat", "dog", "ship", "cat-90", "dog-90"}
    assert {path.name for path in (tmp_path / "cut" / "train").iterdir()} == classes
    names = [path.name for path in (tmp_path / "cut").rglob("cat*/*.jpg")]
    assert len(names) == len(set(names)) == 2 * (8 + 2)
    with Image.open(next((tmp_path / "cut").rglob("*.jpg"))) as image:
        assert min(image.size) >= 150 and max(image.size) < 500
