"""Fashion-MNIST: 60,000 and 10,000 grey images of 28 by 28 pixels in IDX files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from spos._util.errors import UserError
from spos.data.assemble import Source, arrays_source
from spos.data.images import TensorImages
from spos.data.sources.idx import read_idx

DEBIAN = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package dataset-fashion-mnist puts the files."""

CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


def fashion_mnist_source(text: str, path: str = "", image_size: int | None = None) -> Source:
    """Fashion-MNIST, of which the files t10k-* are the test images.

    Args:
        text: what the user asked for, for the errors.
        path: the folder of the four files, each raw or .gz; Debian's if empty.
        image_size: the side to resize to; 28 if left out.

    Raises:
        UserError: a file is missing or damaged.
    """
    folder = Path(path).expanduser() if path else DEBIAN
    # The names of all files are looked up first: the test images are read days later.
    train_files = _files(text, folder, "train")
    test_files = _files(text, folder, "t10k")
    return arrays_source(
        "fashion-mnist",
        _read(*train_files),
        lambda: _read(*test_files),
        torch.from_numpy(read_idx(test_files[1], 1).astype(np.int64)),
        CLASSES,
        image_size,
    )


def _files(text: str, folder: Path, part: str) -> tuple[Path, Path]:
    images, labels = (
        _file(text, folder, f"{part}-{kind}-ubyte") for kind in ("images-idx3", "labels-idx1")
    )
    return images, labels


def _file(text: str, folder: Path, name: str) -> Path:
    for candidate in (folder / name, folder / f"{name}.gz"):
        if candidate.is_file():
            return candidate
    raise UserError(
        f"--data {text}: no {name}.gz in {folder}; install it (apt-get install"
        " dataset-fashion-mnist) or name the folder of the IDX files: fashion-mnist:PATH"
    )


def _read(images: Path, labels: Path) -> TensorImages:
    pixels, classes = read_idx(images, 3), read_idx(labels, 1)
    if len(pixels) != len(classes):
        raise UserError(
            f"{labels}: {len(classes)} labels for the {len(pixels)} images of {images.name}"
        )
    if len(pixels) == 0 or pixels.shape[1] != pixels.shape[2]:
        raise UserError(
            f"{images}: images of shape {list(pixels.shape)}; allowed: [N, S, S], N at least 1"
        )
    if classes.max() >= len(CLASSES):
        raise UserError(f"{labels}: the label {classes.max()}; allowed: 0 to {len(CLASSES) - 1}")
    return TensorImages(
        torch.from_numpy(pixels)[:, None], torch.from_numpy(classes.astype(np.int64))
    )
