"""``spos export`` and ``spos predict``."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import Ended, files_of
from PIL import Image

from spos._cli.main import main
from spos.data import load_data
from spos.run.directory import RunDirectory
from spos.run.outcome import RetrainOutcome

Cli = Callable[..., Ended]
pytest.importorskip("onnxruntime", reason="the extra 'export' is not installed")
pytest.importorskip("onnxscript", reason="the extra 'export' is not installed")


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """All test images of the digits as files."""
    folder = tmp_path_factory.mktemp("digits")
    test = load_data("digits").test()
    paths = []
    for place, image in enumerate(test.pixels(range(len(test)))):
        paths.append(folder / f"{place}.png")
        Image.fromarray(image[0].numpy()).save(paths[-1])
    return paths


@pytest.fixture(scope="module")
def labels() -> list[str]:
    return [str(label) for label in load_data("digits").test().labels.tolist()]


def test_an_exported_network_classifies_files_as_the_run_did(
    cli: Cli, finished: Path, digits: list[Path], labels: list[str]
):
    before = files_of(finished)
    ended = cli("export", finished)
    assert ended.status == 0 and ended.err == "", ended.err
    model = finished / "network.onnx"
    new = ["network.onnx", "network.onnx.json", "network.onnx.md"]
    assert sorted(set(files_of(finished)) - set(before)) == new
    assert ended.out.splitlines()[-3:] == [f"{model}{suffix}" for suffix in ("", ".md", ".json")]
    assert "same class on 359 of 359" in ended.out and "latency" in ended.out
    told = json.loads((finished / "network.onnx.json").read_text())
    assert told["check"]["agreeing"] == told["check"]["images"] == 359
    result = json.loads((finished / "result.json").read_text())
    assert told["metadata"]["architecture"] == result["winner"]["architecture"]
    card = (finished / "network.onnx.md").read_text()
    assert "random networks" in card and f"{result['retrain']['test_score']:.1%}" in card
    found = json.loads(cli("predict", model, *digits, "--top", "1", "--json").out)
    named = [row["classes"][0]["class"] for row in found]
    right = sum(name == label for name, label in zip(named, labels, strict=True))
    assert right / len(labels) == result["retrain"]["test_score"]
    lines = cli("predict", model, digits[0]).out.splitlines()
    assert lines[0] == str(digits[0]) and len(lines) == 6
    assert re.fullmatch(r"  +\d+\.\d\d%  \d", lines[1])
    folder = finished / "photos"
    folder.mkdir()
    broken = folder / "0.png"
    broken.write_bytes(digits[0].read_bytes()[:60])
    (folder / "empty").mkdir()
    given = (digits[0], folder / "empty", folder, "missing.png", digits[1])
    ended = cli("predict", model, *given, "--top", "1")
    assert (ended.status, ended.out.splitlines()[::2]) == (2, [*map(str, digits[:2])])
    *refused, last = ended.err.splitlines()
    assert last == "spos: error: 3 of the images given cannot be read"
    for line, name in zip(refused, (folder / "empty", broken, "missing.png"), strict=True):
        assert line.startswith(f"spos: {name}: ")
    ended = cli("predict", model, broken, digits[1], "--top", "1")
    assert (ended.status, ended.out.splitlines()[0]) == (2, str(digits[1]))
    assert ended.mistake.startswith(f"{broken}: ")
    # The code of the card, run beside the model.
    (code,) = (part.partition("```")[0] for part in card.split("```python\n")[1:])
    said = run_beside(code, finished, digits[0])
    assert said == found[0]["classes"][0]["class"]


def run_beside(code: str, folder: Path, image: Path) -> str:
    shutil.copy(image, folder / "image.png")
    said: list[str] = []
    names = {"session": str(folder / "network.onnx"), "image": str(folder / "image.png")}
    code = code.replace('"network.onnx"', repr(names["session"]))
    code = code.replace('"image.png"', repr(names["image"]))
    exec(compile(code, "card", "exec"), {"print": lambda *words: said.extend(map(str, words))})
    return said[0]


def test_another_network_of_the_run_in_a_file_of_a_name(
    cli: Cli, finished: Path, tmp_path: Path, digits: list[Path]
):
    target = tmp_path / "random.pt2"
    ended = cli(
        *("export", finished, "--stage", "compare-2", "--format", "torch-export"),
        *("--no-fold", "--out", target),
    )
    assert ended.status == 0, ended.err
    assert "batch norms kept" in ended.out
    told = json.loads((tmp_path / "random.pt2.json").read_text())
    outcome = json.loads((finished / "compare-2.json").read_text())
    assert told["metadata"]["architecture"] == outcome["architecture"]
    assert (
        "loading a .pt2 file can run code of its author"
        in cli("predict", target, digits[0]).mistake
    )
    assert cli("predict", "--trust", target, digits[0]).status == 0


def test_a_network_from_before_the_run_trained_another_one_is_refused(
    cli: Cli, finished: Path, digits: list[Path]
):
    assert cli("export", finished).status == 0
    directory = RunDirectory(finished)
    before, other = (directory.outcome(RetrainOutcome, one) for one in ("retrain", "compare-2"))
    assert before is not None and other is not None
    # As after a search that went on.
    directory.finish(other)
    mistake = cli("predict", finished, digits[0]).mistake
    assert f"has the network {before.architecture}, with" in mistake
    assert f"the run has trained {other.architecture} since" in mistake
    assert mistake.endswith("export the network again")


def test_a_run_that_cannot_be_written_classifies_and_stays_as_it_is(
    finished_run: Path,
    digits: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    # As on a disk that is mounted for reading only; permissions do not bind the root user.
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    before = files_of(finished_run)
    main.main(["predict", str(finished_run), str(digits[0])], standalone_mode=False)
    assert capsys.readouterr().out.startswith(str(digits[0]))
    assert files_of(finished_run) == before


MISTAKES = {
    "format": (["RUN", "--format", "onxx"], "--format onxx: did you mean 'onnx'?"),
    "no run": (["nowhere"], "nowhere is not a run directory"),
    "stage": (["RUN", "--stage", "compare-3"], "--stage compare-3: did you mean 'compare-"),
    "suffix": (["RUN", "--out", "OUT/a.pt2"], "ends in .onnx; nearest valid: OUT/a.onnx"),
    "no folder": (["RUN", "--out", "OUT/b/a.onnx"], "the folder OUT/b does not exist"),
    "a folder": (["RUN", "--out", "OUT/c.onnx"], "is a folder; give the name of a file"),
    "a file as a folder": (["RUN", "--out", "OUT/d/a.onnx"], "the folder OUT/d does not exist"),
    "unwritable": (["RUN", "--out", "/proc/a.onnx"], "--out /proc/a.onnx: not writable"),
    "a name that is no module": (
        ["RUN", "--format", "state-dict", "--out", "OUT/my-net.safetensors"],
        "nearest valid: OUT/my_net.safetensors",
    ),
    "option": (["RUN", "--fromat", "onnx"], "No such option '--fromat'"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_of_an_export_is_one_line(
    case: str, cli: Cli, finished_run: Path, tmp_path: Path
):
    given, told = MISTAKES[case]
    (tmp_path / "c.onnx").mkdir()
    (tmp_path / "d").write_text("")
    before = files_of(finished_run)
    words = [word.replace("RUN", str(finished_run)).replace("OUT", str(tmp_path)) for word in given]
    mistake = cli("export", *words).mistake
    assert told.replace("OUT", str(tmp_path)) in mistake
    assert files_of(finished_run) == before
    assert files_of(tmp_path) == ["d"]


def test_a_missing_exporter_is_one_line(
    cli: Cli, finished_run: Path, monkeypatch: pytest.MonkeyPatch
):
    before = files_of(finished_run)
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    told = cli("export", finished_run).mistake
    assert told == (
        "--format onnx: onnxscript is not installed; install it: pip install 'spos[export]'"
    )
    assert files_of(finished_run) == before


def test_a_mistake_of_a_prediction_is_one_line(cli: Cli, tmp_path: Path):
    assert "no such file" in cli("predict", tmp_path / "a.onnx", "x.png").mistake
    assert cli("predict", "/dev/zero", "x.png").mistake == "/dev/zero: not a regular file"
    (tmp_path / "a.onnx").write_bytes(b"none")
    assert "is not an ONNX file, or damaged" in cli("predict", tmp_path / "a.onnx", "x.png").mistake
    assert "--top x: must be a whole number" in cli("predict", "a", "b", "--top", "x").mistake
    assert "Missing argument 'IMAGE...'" in cli("predict", "a").mistake


def test_a_folder_in_the_place_of_the_card_is_seen_before_anything_is_written(
    cli: Cli, finished: Path, tmp_path: Path
) -> None:
    (tmp_path / "a.onnx").write_text("former")
    (tmp_path / "a.onnx.md").mkdir()
    told = cli("export", finished, "--out", tmp_path / "a.onnx").mistake
    assert told.endswith("a.onnx.md exists and is not a file; give another name")
    assert (tmp_path / "a.onnx").read_text() == "former"
    assert sorted(one.name for one in tmp_path.glob("a.*")) == ["a.onnx", "a.onnx.md"]
