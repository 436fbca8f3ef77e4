"""Fashion-MNIST: 60,000 training and 10,000 test images, grey, 28 by 28 pixels, in IDX files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from spos._util.errors import UserError
from spos.data.source import SOURCES, DataOptions, Source, array_source
from spos.data.sources._idx import read_idx

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


@SOURCES.register("fashion-mnist")
def fashion_mnist_source(argument: str, options: DataOptions) -> Source:
    """Fashion-MNIST, with the files t10k-* as test images.

    Args:
        argument (str): folder of the four files, each raw or .gz; Debian's if empty.
        options (DataOptions): how the images are read.

    Raises:
        UserError: a file is missing or damaged.
    """
    folder = Path(argument).expanduser() if argument else DEBIAN
    images, labels = _read(folder, "train")
    return array_source(images, labels, options, test=_read(folder, "t10k"), classes=CLASSES)


def _read(folder: Path, part: str) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    images = read_idx(_file(folder, f"{part}-images-idx3-ubyte"), 3)
    path = _file(folder, f"{part}-labels-idx1-ubyte")
    labels = read_idx(path, 1)
    if len(images) != len(labels) or len(images) == 0:
        raise UserError(f"{path}: {len(labels)} labels for the {len(images)} images")
    if labels.max() >= len(CLASSES):
        raise UserError(f"{path}: label {labels.max()}; allowed: 0 to {len(CLASSES) - 1}")
    return images[:, None], labels


def _file(folder: Path, name: str) -> Path:
    for candidate in (folder / name, folder / f"{name}.gz"):
        if candidate.is_file():
            return candidate
    raise UserError(
        f"no {name}.gz in {folder}; install it (apt-get install dataset-fashion-mnist) or give "
        "the folder of the IDX files: fashion-mnist:PATH"
    )
