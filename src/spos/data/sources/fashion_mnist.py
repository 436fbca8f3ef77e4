"""Fashion-MNIST: 60,000 training and 10,000 test images, grey, 28 by 28 pixels, in IDX files."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from spos._util.errors import UserError
from spos._util.files import expand_home
from spos.data.source import SOURCES, DataOptions, Source, array_source

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


LARGEST = 1 << 30
"""Bytes of the largest set that is read: that of the set has 47 MB."""


@SOURCES.register("fashion-mnist")
def fashion_mnist_source(argument: str, options: DataOptions) -> Source:
    """Fashion-MNIST, with the files t10k-* as test images.

    Args:
        argument (str): folder of the four files, each raw or .gz; Debian's if empty.
        options (DataOptions): how the images are read.

    Raises:
        UserError: a file is missing or damaged.
    """
    folder = expand_home(argument) if argument else DEBIAN
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


def read_idx(path: Path, dimensions: int) -> npt.NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes.

    Args:
        path (Path): file; decompressed if its name ends in .gz.
        dimensions (int): number of dimensions: 3 for images, 1 for labels.

    Returns:
        numpy.ndarray: uint8, writable, of the shape in the header.

    Raises:
        UserError: the file cannot be read, is of another kind, or has another length.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "labels"
        >>> _ = path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 2, 7, 9]))
        >>> read_idx(path, 1)
        array([7, 9], dtype=uint8)
    """
    magic, header = bytes([0, 0, 8, dimensions]), 4 + 4 * dimensions
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rb") as file:
            head = file.read(header)
            shape: list[int] = []
            if head[:4] == magic and len(head) == header:
                shape = np.frombuffer(head[4:], ">u4").tolist()
            # No more than that: whatever is compressed may be of any size.
            content = file.read(min(math.prod(shape), LARGEST) + 1)
    except (OSError, EOFError, zlib.error) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: cannot be read ({reason}); get a whole IDX file") from None
    if not shape:
        raise UserError(
            f"{path}: begins with {head[:4].hex() or 'nothing'}; an IDX file of bytes with "
            f"{dimensions} dimensions begins with {magic.hex()} and a header of {header} bytes"
        )
    says = f"its header says {' x '.join(map(str, shape))}"
    if not all(shape[1:]):
        raise UserError(f"{path}: {says}, which are images without pixels")
    if len(content) != math.prod(shape):
        more = "more" if len(content) > math.prod(shape) else f"{header + len(content)}"
        raise UserError(f"{path}: {more} bytes; {says}, which needs {header + math.prod(shape)}")
    values: npt.NDArray[np.uint8] = np.frombuffer(content, np.uint8).copy()
    return values.reshape(shape)
