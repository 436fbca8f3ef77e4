"""Sources by name: those of the package, of a plug-in, and of a script."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import torch

from spos import UserError
from spos.data import (
    SOURCES,
    DataOptions,
    StreamedImages,
    array_source,
    dataset_source,
    load_data,
)
from spos.run import run


@pytest.fixture(autouse=True)
def _forget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SOURCES, "_registered", dict(SOURCES._registered))


def test_the_sources_of_the_package_are_listed():
    own = ["cifar10", "cifar100", "digits", "fashion-mnist", "folder"]
    assert sorted(SOURCES) == sorted([*own, "hf", "torchvision", "webdataset"])


def stored(path: Path, count: int = 60) -> Path:
    images = np.random.default_rng(0).integers(0, 256, (count, 1, 8, 8), dtype=np.uint8)
    np.savez(path / "set.npz", images=images, labels=np.arange(count) % 3)
    return path / "set.npz"


def test_a_source_of_arrays_takes_five_lines(tmp_path: Path):
    @SOURCES.register("mine")
    def mine(argument, options):
        with np.load(argument) as file:
            return array_source(file["images"], file["labels"], options)

    path = stored(tmp_path)
    data = load_data(f"mine:{path}", image_size=6)
    assert (data.source, data.image_size, data.channels) == (f"mine:{path}", 6, 1)
    assert [len(data.train), len(data.validation), len(data.test())] == [49, 5, 6]
    assert data.classes == ("0", "1", "2") and data.notes
    assert load_data(f"mine:{path}", image_size=6).fingerprint == data.fingerprint
    with pytest.raises(UserError, match=r"^--data mine:.*: stream always: this source is always"):
        load_data(f"mine:{path}", stream="always")


def test_a_source_of_a_dataset_takes_three_lines_and_can_be_streamed():
    @SOURCES.register("mine")
    def mine(argument, options):
        items = [(torch.full((1, 8, 8), n, dtype=torch.uint8), n % 2) for n in range(40)]
        return dataset_source(items, options, classes=argument.split(","))

    data = load_data("mine:even,odd", stream="always")
    assert data.classes == ("even", "odd") and isinstance(data.train, StreamedImages)
    held = load_data("mine:even,odd")
    assert torch.equal(held.train.pixels(range(8)), data.train.pixels(range(8)))


def test_a_source_is_a_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "their_images.py").write_text(
        "import numpy as np\n"
        "from spos.data import array_source\n"
        "def read(argument, options):\n"
        "    with np.load(argument) as file:\n"
        "        return array_source(file['images'], file['labels'], options)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    point = metadata.EntryPoint("theirs", "their_images:read", SOURCES.group)
    monkeypatch.setitem(SOURCES.__dict__, "_plugins", {"theirs": point})
    assert len(load_data(f"theirs:{stored(tmp_path)}").train) == 49


def test_a_run_takes_a_registered_source_by_name(tmp_path: Path):
    SOURCES.register("mine")(
        lambda argument, options: array_source(*np.load(argument).values(), options)
    )
    recipe = {"steps": 2, "batch_size": 8, "warmup_steps": 0}
    given = {
        "space": {"name": "plain", "preset": "tiny"},
        "data": {"source": f"mine:{stored(tmp_path)}"},
        "supernet": recipe,
    }
    run(tmp_path / "run", given, ("train",))
    assert '"source": "mine:' in (tmp_path / "run" / "data.json").read_text()


def test_a_mistake_in_a_source_names_what_was_given(tmp_path: Path):
    SOURCES.register("mine")(lambda argument, options: array_source([[1]], [0], options))
    with pytest.raises(UserError, match=r"^--data mine:x: images of torch.int64, shape \[1, 1\]"):
        load_data("mine:x")


@pytest.mark.parametrize(
    ("labels", "classes", "told"),
    [
        ([0, 1, 0], None, r"labels of shape \[3\] for 4 images"),
        ([0, 1, 0, 2], ["a", "b"], "label 2, but there are 2 classes; allowed: 0 to 1"),
        ([0, 1, 0, -1], None, "label -1, but there are 2 classes; allowed: 0 to 1"),
        ([0, 1, 0, 0.7], None, "labels of torch.float32; allowed: integers from 0"),
        (["a", "b", "a", "b"], None, "labels of type list; allowed: integers from 0"),
    ],
)
def test_labels_that_do_not_fit_are_refused(labels, classes, told):
    images = np.zeros((4, 1, 8, 8), np.uint8)
    with pytest.raises(UserError, match=told):
        array_source(images, labels, DataOptions(), classes=classes)


def test_what_a_source_of_ones_own_raises_is_one_line(monkeypatch):
    monkeypatch.setitem(SOURCES._registered, "mine", lambda argument, options: int(argument))
    with pytest.raises(UserError, match=r"--data mine:abc: the source mine failed \(ValueError"):
        load_data("mine:abc")
