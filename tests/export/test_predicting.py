"""Classes of image files."""

from __future__ import annotations

import errno
import functools
import hashlib
import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import metadata
from PIL import Image
from torch import Tensor

from spos import UserError
from spos._cli.main import main
from spos._util.files import write_json
from spos.data import Images, load_data
from spos.export.metadata import OpenedNetwork
from spos.export.predicting import Classifier, find_images, open_classifier


def brightness(images: Tensor) -> Tensor:
    """Ten outputs, the highest of the tenth of the scale that the mean of the image is in."""
    mean = images.float().mean((1, 2, 3), keepdim=False)[:, None]
    return -(mean - torch.arange(10) * 25.5 - 12.75).abs() / 10


def classifier(**changes: object) -> Classifier:
    return Classifier(OpenedNetwork(metadata(**changes), brightness, "a test"))


def photograph(path: Path, size: tuple[int, int], mode: str = "RGB") -> Path:
    random = np.random.default_rng(sum(size))
    bands = len(Image.new(mode, (1, 1)).getbands())
    array = random.integers(0, 256, (size[1], size[0], bands), dtype=np.uint8)
    Image.fromarray(array.squeeze()).convert(mode).save(path)
    return path


@pytest.mark.parametrize("side", [16, 128])
@pytest.mark.parametrize("stream", ["never", "always"])
def test_images_are_read_as_the_run_reads_them(side: int, stream: str, tmp_path: Path):
    for split in ("train", "test"):
        for name in ("one", "two"):
            (tmp_path / split / name).mkdir(parents=True)
            for number, kind in enumerate(("png", "jpg", "jpg")):
                size = (300 + 900 * number, 260 + 400 * number)
                photograph(tmp_path / split / name / f"{number}.{kind}", size)
    data = load_data(f"folder:{tmp_path}", image_size=side, stream=stream, validation=2)
    test = data.test()
    decoded = side if stream == "never" else round(side * 256 / 224) if side >= 128 else side
    reader = classifier(
        channels=3, mean=data.mean, std=data.std, image_size=side, decoded_side=decoded
    )
    files = sorted((tmp_path / "test").rglob("*.*"))
    assert len(files) == len(test) == 6
    for place, path in enumerate(files):
        assert torch.equal(reader.read(path), test.pixels([place])[0])


@functools.cache
def digits() -> Images:
    return load_data("digits").test()


@settings(max_examples=25)
@given(place=st.integers(0, 358))
def test_a_grey_network_reads_a_grey_file_as_it_is(
    place: int, tmp_path_factory: pytest.TempPathFactory
):
    pixels = digits().pixels([place])[0]
    path = tmp_path_factory.mktemp("digit") / "digit.png"
    Image.fromarray(pixels[0].numpy()).save(path)
    assert torch.equal(classifier().read(path), pixels)
    Image.fromarray(pixels[0].numpy()).convert("RGB").save(path)
    assert torch.equal(classifier().read(path), pixels)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1", "LA"])
def test_images_of_any_mode_are_converted(mode: str, tmp_path: Path):
    path = tmp_path / "a.png"
    Image.new("RGB", (9, 7), (130, 130, 130)).convert(mode).save(path)
    assert classifier().read(path).shape == (1, 8, 8)
    colour = classifier(channels=3, mean=(0.0,) * 3, std=(1.0,) * 3).read(path)
    assert colour.shape == (3, 8, 8)


def test_classes_come_with_their_probabilities(tmp_path: Path):
    paths = []
    for shade in (0, 100, 255):
        paths.append(tmp_path / f"{shade}.png")
        Image.new("L", (8, 8), shade).save(paths[-1])
    found = classifier().classify(paths)
    assert [row["classes"][0]["class"] for row in found] == ["a", "d", "j"]
    assert [row["file"] for row in found] == list(map(str, paths))
    for row in found:
        shares = [best["probability"] for best in row["classes"]]
        assert len(shares) == 5 and shares == sorted(shares, reverse=True)
    whole = classifier().classify(paths[:1], 10)[0]["classes"]
    assert sum(best["probability"] for best in whole) == pytest.approx(1)
    # More files than are run at a time.
    assert classifier().classify(paths * 50)[::3] == found[:1] * 50


def test_fewer_classes_than_five_are_all(tmp_path: Path):
    path = tmp_path / "a.png"
    Image.new("L", (8, 8)).save(path)
    two = Classifier(
        OpenedNetwork(
            metadata(classes=("x", "y"), outputs=2), lambda x: brightness(x)[:, :2], "a test"
        )
    )
    assert len(two.classify([path])[0]["classes"]) == 2
    for top in (0, 3):
        with pytest.raises(UserError, match=f"--top {top}: allowed: 1 to 2"):
            two.classify([path], top)


def test_files_that_are_not_images_are_one_line(tmp_path: Path):
    cut = photograph(tmp_path / "cut.jpg", (64, 64))
    cut.write_bytes(cut.read_bytes()[:500])
    (tmp_path / "text.png").write_text("none")
    (tmp_path / "empty.png").write_bytes(b"")
    os.mkfifo(tmp_path / "pipe.png")
    told = {
        "cut.jpg": "[Tt]runcated",
        "text.png": "not a JPEG, PNG, BMP, or WebP image",
        "empty.png": "empty file",
        "missing.png": "No such file",
        "pipe.png": "not a regular file",
    }
    for name, reason in told.items():
        with pytest.raises(UserError, match=rf"{name}.*{reason}"):
            classifier().classify([tmp_path / name])


def test_files_that_are_not_networks_are_one_line(tmp_path: Path):
    with pytest.raises(UserError, match="no such file"):
        open_classifier(tmp_path / "a.onnx")
    for name in ("a.onnx", "a.png", "a.pt2"):
        (tmp_path / name).write_bytes(b"none of ours")
        with pytest.raises(UserError, match="is not an ONNX file, or damaged"):
            open_classifier(tmp_path / name)
    (tmp_path / "a.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match="weights cannot be run without its source"):
        open_classifier(tmp_path / "a.safetensors")


def test_a_network_that_was_altered_is_refused(tmp_path: Path):
    # A bit of a weight in an ONNX file is noticed by nothing else.
    path, beside = tmp_path / "a.onnx", tmp_path / "a.onnx.json"
    path.write_bytes(b"altered")
    facts = {"format": "onnx", "sha256": hashlib.sha256(b"as it was written").hexdigest()}
    beside.write_text(json.dumps(facts))
    with pytest.raises(UserError, match=r"a\.onnx is not the file that a\.onnx\.json describes"):
        open_classifier(path)
    path.write_bytes(b"as it was written")
    with pytest.raises(UserError, match="is not an ONNX file, or damaged"):
        open_classifier(path)
    beside.write_text("{}")
    with pytest.raises(UserError, match=r"a\.onnx\.json is damaged \(sha256: Field required"):
        open_classifier(path)


def test_a_run_does_not_predict_with_the_network_of_another_run(tmp_path: Path):
    path, content = tmp_path / "network.onnx", b"as it was written"
    path.write_bytes(content)
    facts = {"sha256": hashlib.sha256(content).hexdigest(), "run": "a"}
    (tmp_path / "network.onnx.json").write_text(json.dumps(facts))

    def predict(model: Path) -> None:
        main(["predict", str(model), "a.png"], standalone_mode=False)

    for run, told in (("b", f"{path} is of another run than .*"), ("a", "is not an ONNX file")):
        write_json(tmp_path / "data.json", {"run": run})
        with pytest.raises(UserError, match=told):
            predict(tmp_path)
    # By its name it may be anybody's.
    write_json(tmp_path / "data.json", {"run": "b"})
    with pytest.raises(UserError, match="is not an ONNX file"):
        predict(path)


def test_the_images_of_a_folder_are_found_in_order(tmp_path: Path):
    for name in ("b/2.png", "b/1.JPG", "a.webp", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    given = [tmp_path / "notes.txt", tmp_path]
    names = ["notes.txt", "a.webp", "b/1.JPG", "b/2.png"]
    assert find_images(given) == [tmp_path / name for name in names]
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"empty: no image in it; allowed: \.jpg"):
        find_images([tmp_path / "empty"])


@pytest.mark.parametrize(
    ("run", "told"),
    [
        (
            lambda images: torch.zeros(len(images), 10, 2),
            r"the shape \[1, 10, 2\], expected is \[1, 10\]",
        ),
        (lambda images: torch.tensor(0.0), r"the shape \[\], expected is \[1, 10\]"),
        (lambda images: torch.full((len(images), 10), torch.nan), "not finite numbers"),
        (lambda images: 1 / 0, "the network cannot be run .*division by zero"),
    ],
    ids=["dimensions", "a scalar", "not a number", "an error"],
)
def test_a_network_of_anybody_gives_classes_or_one_line(run, told, tmp_path: Path):
    reader = Classifier(OpenedNetwork(metadata(), run, "a test"))
    mode = "L" if metadata().channels == 1 else "RGB"
    with pytest.raises(UserError, match=told):
        reader.classify([photograph(tmp_path / "a.png", (20, 20), mode)])


def test_hidden_files_of_a_folder_are_left_out(tmp_path: Path) -> None:
    hidden = ("._a.png", ".thumbnails/a.png", "inside/.DS_Store", "@eaDir/a.png/thumb.jpg")
    for name in ("a.png", "inside/b.PNG", *hidden):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_bytes(b"")
    assert find_images([tmp_path]) == [tmp_path / "a.png", tmp_path / "inside" / "b.PNG"]
    for named in (tmp_path / ".thumbnails", tmp_path / "._a.png"):
        assert find_images([named])


def test_a_disk_is_no_folder_of_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spos.export.predicting.MOST", 20)
    for number in range(20):
        (tmp_path / f"{number}.png").write_bytes(b"")
    assert len(find_images([tmp_path])) == 20
    (tmp_path / "notes.txt").write_bytes(b"")
    with pytest.raises(UserError, match=r"more than 20 files and folders in it; give a folder"):
        find_images([tmp_path])


def test_a_folder_that_may_not_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(UserError, match=r"cannot be read \(Permission denied\)"):
        find_images([tmp_path])
    with pytest.raises(UserError, match=rf"--data folder:{tmp_path}: .*Permission denied"):
        load_data(f"folder:{tmp_path}")


def test_folders_of_a_thousand_levels_are_no_recursion(tmp_path: Path) -> None:
    before = os.getcwd()
    (tmp_path / "a.png").write_bytes(b"")
    try:
        os.chdir(tmp_path)
        for _ in range(1500):
            os.mkdir("a")
            os.chdir("a")
    finally:
        os.chdir(before)
    try:
        assert find_images([tmp_path]) == [tmp_path / "a.png"]
    finally:
        # The cleaning of pytest has the same limit.
        subprocess.run(["rm", "-r", str(tmp_path / "a")], check=True)
