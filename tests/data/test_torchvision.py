"""Data sets of torchvision, which a stand-in provides, since not every torch has a torchvision."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from torch.utils.data import Dataset

from spos import UserError
from spos.data import load_data
from spos.data.sources import torchvision as source

READ = source.READ


class Digits(Dataset[Any]):
    """As the data sets that are told whether to train."""

    classes = ("cat", "dog")

    def __init__(self, root: str, train: bool = True, download: bool = True) -> None:
        assert not download
        if root not in ("there", "damaged"):
            raise RuntimeError("Dataset not found.\nYou can use download=True to download it")
        self.root = root
        self.first, self.count = (0, 20) if train else (100, 6)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        if not 0 <= index < self.count:
            raise IndexError(index)
        random = np.random.default_rng(self.first + index)
        return Image.fromarray(random.integers(0, 256, (8, 8, 3), dtype=np.uint8)), index % 2


class Flowers(Digits):
    """As the data sets that are told a split."""

    sizes = {"train": (0, 20), "val": (50, 4), "test": (100, 6)}  # noqa: RUF012

    def __init__(self, root: str, split: str = "train", download: bool = True) -> None:
        if split not in self.sizes:
            raise ValueError(f"Unknown value '{split}' for argument split.")
        super().__init__(root, download=download)
        self.first, self.count = self.sizes[split]


class Pets(Flowers):
    sizes = {"trainval": (0, 20), "test": (100, 6)}  # noqa: RUF012


class Imagenette(Flowers):
    sizes = {"train": (0, 20), "val": (50, 4)}  # noqa: RUF012


class Faces(Digits):
    """As the data sets without splits, which have nothing to download."""

    def __init__(self, root: str) -> None:
        super().__init__(root, download=False)


class Broken(Faces):
    """As one with a damaged file; its classes have several names each."""

    classes = (("cat", "kitty"), ("dog", "hound"))  # type: ignore[assignment]

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        if self.root == "damaged" and index == 3:
            raise OSError("image file is truncated\n(2 bytes)")
        return super().__getitem__(index)


class Abstract(Faces):
    """As one that has no items."""

    def __len__(self) -> int:
        raise NotImplementedError


class LSUNClass(Faces):
    def __init__(self, root: str) -> None:
        raise AssertionError("it would unpickle a file")


class Fake(Digits):
    """As the one whose images are drawn."""

    def __init__(self, size: int = 20) -> None:
        super().__init__("there", download=False)


@pytest.fixture(autouse=True)
def _torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    read = (Digits, Flowers, Pets, Imagenette, Faces, Broken, Abstract)
    kinds = {kind.__name__: kind for kind in (*read, Fake, LSUNClass)}
    datasets = SimpleNamespace(__all__=(*kinds, "CIFAR10"), **kinds)
    monkeypatch.setattr(source, "READ", {one.__name__ for one in read})
    monkeypatch.setitem(sys.modules, "torchvision", SimpleNamespace(datasets=datasets))


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("Digits", [18, 2, 6]),
        ("Flowers", [20, 4, 6]),
        ("Pets", [18, 2, 6]),
        ("Imagenette", [18, 2, 4]),
        ("Faces", [16, 2, 2]),
    ],
)
@pytest.mark.parametrize("stream", ["never", "always"])
def test_the_splits_of_a_data_set_are_found(name: str, sizes: list[int], stream: str) -> None:
    data = load_data(f"torchvision:{name}:there", stream=stream)
    assert [len(data.train), len(data.validation), len(data.test())] == sizes
    assert data.classes == ("cat", "dog") and (data.channels, data.image_size) == (3, 8)
    # The retraining is on both.
    assert len(data.train.join(data.validation)) == sizes[0] + sizes[1]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("Flower:there", "no data set 'Flower' in torchvision; did you mean 'Flowers'? allowed: "),
        ("CIFAR10:there", "its files are pickles, which are never read; give cifar10:PATH"),
        ("LSUNClass:there", "LSUNClass is not known to have images of classes, and no pickles"),
        ("Abstract:there", "Abstract cannot be read from there (NotImplementedError"),
        ("Broken:damaged", "Broken, item 3 (OSError: image file is truncated (2 bytes))"),
        ("Fake:there", "Fake has no files to read; allowed: data sets with a root folder"),
        ("Digits", "the folder is missing; allowed: torchvision:Digits:PATH"),
        ("Digits:here", "Digits cannot be read from here (RuntimeError: Dataset not found. You"),
        ("Flowers:here", "Flowers cannot be read from here (RuntimeError: Dataset not found."),
    ],
)
def test_a_mistake_is_one_line(given: str, told: str) -> None:
    with pytest.raises(UserError) as caught:
        load_data(f"torchvision:{given}")
    assert told in str(caught.value) and "\n" not in str(caught.value)


def test_a_class_may_have_several_names() -> None:
    assert load_data("torchvision:Broken:there").classes == ("cat, kitty", "dog, hound")


def test_a_torchvision_that_cannot_be_imported_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(UserError, match=r"install it: pip install 'spos\[torchvision\]'"):
        load_data("torchvision:Digits:there")

    def fails(name: str) -> None:
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr("spos._util.libraries.import_module", fails)
    with pytest.raises(
        UserError,
        match=r"be imported \(RuntimeError: operator torchvis.* from the same package index$",
    ):
        load_data("torchvision:Digits:there")


def idx(*sizes: int) -> bytes:
    """A file as that of MNIST: bytes that count up to 9, and begin again."""
    head = bytes((0, 0, 8, len(sizes))) + b"".join(size.to_bytes(4, "big") for size in sizes)
    return head + (np.arange(np.prod(sizes)) % 10).astype(np.uint8).tobytes()


def test_torchvision_itself_has_data_sets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delitem(sys.modules, "torchvision")
    monkeypatch.setattr(source, "READ", READ)
    reason = "torchvision cannot be imported here"
    pytest.importorskip("torchvision", exc_type=Exception, reason=reason)
    with pytest.raises(UserError, match="FashionMNIST cannot be read from none"):
        load_data("torchvision:FashionMNIST:none")
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for split, count in (("train", 200), ("t10k", 20)):
        (raw / f"{split}-images-idx3-ubyte").write_bytes(idx(count, 28, 28))
        (raw / f"{split}-labels-idx1-ubyte").write_bytes(idx(count))
    data = load_data(f"torchvision:FashionMNIST:{tmp_path}")
    assert [len(data.train), len(data.validation), len(data.test())] == [180, 20, 20]
    assert (data.classes[0], data.channels, data.image_size) == ("T-shirt/top", 1, 28)
