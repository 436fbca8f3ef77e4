"""Runs on images in folders: a zip from beginning to end, and folders with mistakes in them."""

from __future__ import annotations

import json
import signal
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import psutil
import pytest
from commands import Ended, Started, result_of, until
from PIL import Image

Cli = Callable[..., Ended]
SETTINGS = (
    *("--preset", "tiny", "--threads", "1", "--channels", "16,24", "--depths", "1,1"),
    *("--population", "2", "--iterations", "2", "--set", "run.evaluation_batch=8"),
    *(
        part
        for recipe in ("supernet", "retrain")
        for setting in ("batch_size=8", "steps=4", "warmup_steps=0")
        for part in ("--set", f"{recipe}.{setting}")
    ),
    *("--set", "data.validation=6"),
)


def picture(shade: int, side: int = 8, kind: str = "PNG") -> bytes:
    noise = np.random.default_rng(shade).integers(0, 60, (side, side, 3)) + shade
    content = BytesIO()
    Image.fromarray(noise.astype(np.uint8)).save(content, kind)
    return content.getvalue()


def files(images: int = 12) -> dict[str, bytes]:
    """Dark and bright images, by their names."""
    return {
        f"{split}/{name}/{number}.png": picture(shade + number)
        for split, count in (("train", images), ("val", 4))
        for name, shade in (("bright", 150), ("dark", 10))
        for number in range(count)
    }


def folder(at: Path, content: dict[str, bytes]) -> Path:
    for name, data in content.items():
        (at / name).parent.mkdir(parents=True, exist_ok=True)
        (at / name).write_bytes(data)
    return at


def test_folders_may_have_any_names(cli: Cli, tmp_path: Path) -> None:
    for name, data in files().items():
        place = name.replace("bright", "caf\udce9").replace("dark", "\x1b[31m<b>")
        folder(tmp_path / "<i>\x1b[1m", {place: data})
    out = tmp_path / "run"
    ended = cli("run", *SETTINGS, "--data", f"folder:{tmp_path}/<i>\x1b[1m", "--out", out)
    assert ended.status == 0, ended.err
    assert result_of(out)["data"]["classes"] == ["\\x1b[31m<b>", "caf\\xe9"]
    shown = cli("show", out)
    assert shown.status == 0 and "\x1b" not in ended.out + ended.err + shown.out
    # Finished, it does not look whether they are the same images.
    again = cli("run", "--out", out)
    assert again.out == ended.out
    assert again.err.startswith(f"spos: {out} is finished: its result is of the images")
    compared = cli("run", "--compare", "1", "--out", out)
    assert compared.status == 0 and "is finished" not in compared.err
    # The run resumes, and reads the images where they are.
    (out / "retrain.json").unlink()
    assert cli("run", "--out", out).status == 0


def test_a_zip_of_images_is_searched_from_beginning_to_end(
    start: Callable[..., Started], tmp_path: Path
) -> None:
    archive = tmp_path / "shades.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for name, data in files().items():
            file.writestr(f"shades/{name}", data)
    out = tmp_path / "run"
    command = ("run", *SETTINGS, "--data", f"folder:{archive}", "--out", out)
    ended = start(*command).wait()
    assert ended.status == 0, ended.err
    result = result_of(out)
    assert result["data"]["classes"] == ["bright", "dark"]
    assert (result["data"]["train"], result["data"]["validation"]) == (18, 6)
    assert (result["data"]["channels"], result["data"]["image_size"]) == (3, 8)
    assert 0 <= result["retrain"]["test_score"] <= 1
    assert ended.told == [f"spos: {note}" for note in result["data"]["notes"]]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_processes_that_read_images_outlast_an_interruption(
    number: int, start: Callable[..., Started], tmp_path: Path
) -> None:
    images = folder(tmp_path / "shades", files())
    out = tmp_path / "run"
    command = (
        *("train", *SETTINGS, "--data", f"folder:{images}", "--stream", "always"),
        *("--data-workers", "2", "--set", "supernet.steps=10000", "--set", "run.save_every=0"),
        *("--out", out),
    )
    run = start(*command)
    until(lambda: list(out.glob("supernet/step-*")), run.process)
    readers = psutil.Process(run.process.pid).children()
    assert len(readers) == 2
    run.signal(number)
    ended = run.wait()
    assert ended.status == 130, ended.err
    assert ended.told[-1].startswith("spos: interrupted")
    assert not [line for line in ended.told if "Traceback" in line]
    assert not any(reader.is_running() for reader in readers)


def test_other_images_than_those_of_the_run_are_refused(
    cli: Cli, start: Callable[..., Started], tmp_path: Path
) -> None:
    images = folder(tmp_path / "shades", files())
    command = (*SETTINGS, "--data", f"folder:{images}", "--out", tmp_path / "run")
    assert start("train", *command).wait().status == 0
    (images / "train" / "dark" / "0.png").unlink()
    assert "are not those that" in cli("search", *command).mistake


def without(pattern: str) -> dict[str, bytes]:
    return {name: data for name, data in files().items() if pattern not in name}


BROKEN = {
    "missing": (None, "no such folder"),
    "empty": ({}, "no train/ in it"),
    "no train": (without("train/"), "no train/ in it"),
    "one class": (without("dark"), "only one class"),
    "an empty class": (
        {**without("train/dark"), "train/dark/notes.txt": b"none"},
        "no image in train/dark/",
    ),
    "another class in val": (
        {**files(), "val/drak/0.png": picture(1)},
        "val/ has the class 'drak', which train/ lacks; did you mean 'dark'?",
    ),
    "truncated": (
        {**files(), "train/dark/x.jpg": picture(1, 32, "JPEG")[:200]},
        "broken image train/dark/x.jpg",
    ),
    "text": ({**files(), "train/dark/x.jpg": b"no image"}, "broken image train/dark/x.jpg"),
    "a zip that is none": (b"PK no zip", "shades.zip"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_folder_that_is_not_as_it_should_be_is_one_line(
    case: str, cli: Cli, tmp_path: Path
) -> None:
    content, told = BROKEN[case]
    place = tmp_path / "shades"
    if isinstance(content, bytes):
        place = tmp_path / "shades.zip"
        place.write_bytes(content)
    elif content is not None:
        place.mkdir()
        folder(place, content)
    out = tmp_path / "run"
    data = f"folder:{place}"
    mistake = cli("run", *SETTINGS, "--data", data, "--on-broken", "fail", "--out", out).mistake
    assert mistake.startswith(f"--data {data}: ")
    assert told in mistake
    assert not out.exists()


def test_broken_images_are_left_out_and_named_on_request(
    start: Callable[..., Started], tmp_path: Path
) -> None:
    broken = {
        "train/dark/cut.jpg": picture(1, 32, "JPEG")[:200],
        "train/dark/text.jpg": b"no image",
    }
    images = folder(tmp_path / "shades", {**files(), **broken})
    out = tmp_path / "run"
    skip = ("--on-broken", "skip")
    ended = start("train", *SETTINGS, *skip, "--data", f"folder:{images}", "--out", out).wait()
    assert ended.status == 0, ended.err
    skipped = json.loads((out / "data.json").read_text())["skipped"]
    assert [name.split(":")[0] for name in skipped] == list(broken)
    assert [line for line in ended.told if "skipped" in line] == [
        f"spos: skipped {name}" for name in skipped
    ]
    assert json.loads((out / "data.json").read_text())["train"] == 18
