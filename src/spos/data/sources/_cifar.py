"""CIFAR-10 and CIFAR-100 in their binary version: records of labels and 3x32x32 bytes."""

from __future__ import annotations

import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from spos._util.errors import UserError
from spos._util.files import expand_home
from spos.data.source import DataOptions, Source, array_source

_PIXELS = 3 * 32 * 32
LARGEST = 1 << 28
"""Bytes of the largest file that is read: those of the two sets have 154 MB at most."""
_PYTHON_VERSION = {"data_batch_1", "batches.meta", "train", "meta"}


@dataclass(frozen=True)
class Version:
    """Layout of one of the two sets.

    Args:
        train (tuple[str, ...]): files of training images.
        test (str): file of test images.
        names (str): file of class names.
        folder (str): folder in the archive.
        archive (str): name of the archive.
        labels (int): bytes of labels before the pixels of an image; the last one is the class.
        classes (int): number of classes.
    """

    train: tuple[str, ...]
    test: str
    names: str
    folder: str
    archive: str
    labels: int
    classes: int


def cifar_source(argument: str, options: DataOptions, version: Version) -> Source:
    """One of the sets, with its official test images.

    Raises:
        UserError: files are missing, damaged, or of the Python version, which is pickled: reading
            it could run code.
    """
    allowed = f"the folder of the binary version, its parent, or {version.archive}"
    path = expand_home(argument)
    if not argument or not (path.is_dir() or path.is_file()):
        reason = "no such folder or file" if argument else "the path is missing"
        raise UserError(f"{reason}; allowed: {allowed}")
    files = _read(path, version)
    missing = [name for name in (*version.train, version.test) if name not in files]
    if missing and files.keys() & _PYTHON_VERSION:
        raise UserError(
            "this is the Python version, whose pickles are never read; get the binary version: "
            f"{version.archive}"
        )
    if missing:
        raise UserError(f"no {missing[0]} in it; allowed: {allowed}")
    names = files.get(version.names, b"").decode("utf-8", "replace").split()
    classes = names if len(names) == version.classes else list(map(str, range(version.classes)))
    images, labels = _parse(files, version.train, version)
    test = _parse(files, (version.test,), version)
    return array_source(images, labels, options, test=test, classes=classes)


def _parse(
    files: dict[str, bytes], names: tuple[str, ...], version: Version
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    record = version.labels + _PIXELS
    again = f"download {version.archive} again"
    for name in names:
        size = len(files[name])
        if size == 0 or size % record:
            raise UserError(f"{name} has {size} bytes, not a multiple of {record}: {again}")
    content = b"".join(files.pop(name) for name in names)
    records = np.frombuffer(content, np.uint8).reshape(-1, record)
    # CIFAR-100 has the coarse label first; the fine one is always next to the pixels.
    labels = records[:, version.labels - 1].copy()
    if labels.max() >= version.classes:
        allowed = f"allowed: 0 to {version.classes - 1}"
        raise UserError(f"{', '.join(names)}: label {labels.max()}; {allowed}; {again}")
    return records[:, version.labels :].reshape(-1, 3, 32, 32).copy(), labels


def _read(path: Path, version: Version) -> dict[str, bytes]:
    """Content of the wanted files by the last part of their name."""
    wanted = {*version.train, version.test, version.names, *_PYTHON_VERSION}
    if path.is_dir():
        inner = path / version.folder
        found = [(inner if inner.is_dir() else path) / name for name in wanted]
        files = [one for one in found if one.is_file()]
        for one in files:
            _check_size(one.name, one.stat().st_size)
        return {one.name: one.read_bytes() for one in files}
    content = {}
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                name = member.name.rsplit("/", 1)[-1]
                file = archive.extractfile(member) if name in wanted and member.isreg() else None
                if file is not None:
                    _check_size(name, member.size)
                    content[name] = file.read()
            # The checksum of what was compressed comes last.
            while archive.fileobj and archive.fileobj.read(1 << 20):
                pass
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise UserError(
            f"not a whole .tar.gz ({' '.join(str(error).split())}); download it again"
        ) from None
    return content


def _check_size(name: str, size: int) -> None:
    if size > LARGEST:
        raise UserError(f"{name} has {size:,} bytes; allowed: at most {LARGEST:,}")
