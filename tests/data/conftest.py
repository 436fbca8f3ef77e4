"""Small real images on disk."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

MakeFolder = Callable[..., Path]


def encoded(size: tuple[int, int] = (12, 12), seed: int = 0, format: str = "PNG") -> bytes:
    """A random RGB image of this width and height as a file."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format)
    return file.getvalue()


@pytest.fixture
def encode() -> Callable[..., bytes]:
    """A random RGB image of a width and height as a file."""
    return encoded


@pytest.fixture
def zip_folder() -> Callable[..., Path]:
    """The folder as a zip archive, half of it deflated."""
    return zipped


@pytest.fixture
def make_folder(tmp_path: Path) -> MakeFolder:
    """Make a folder of images: splits maps "train" to the number of images a class."""

    def make(
        name: str = "set",
        size: tuple[int, int] = (12, 12),
        classes: tuple[str, ...] = ("cat", "dog", "owl"),
        **splits: int,
    ) -> Path:
        root = tmp_path / name
        for split, count in (splits or {"train": 20}).items():
            for label, kind in enumerate(classes):
                folder = root / split / kind
                folder.mkdir(parents=True)
                for number in range(count):
                    seed = 1000 * label + number + 100 * len(split)
                    (folder / f"{number:03}.png").write_bytes(encoded(size, seed))
        return root

    return make


def zipped(folder: Path, target: Path, top: str = "") -> Path:
    """The folder as a zip archive, half of it deflated."""
    with zipfile.ZipFile(target, "w") as archive:
        for number, file in enumerate(sorted(folder.rglob("*.png"))):
            method = zipfile.ZIP_DEFLATED if number % 2 else zipfile.ZIP_STORED
            archive.write(file, top + file.relative_to(folder).as_posix(), method)
    return target
