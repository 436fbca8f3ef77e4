"""CIFAR-10 and CIFAR-100 in their binary version: records of labels and 3x32x32 bytes."""

from __future__ import annotations

import tarfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from spos._util.errors import UserError
from spos.data.assemble import Source, arrays_source
from spos.data.images import TensorImages

_PIXELS = 3 * 32 * 32


@dataclass(frozen=True)
class Version:
    """How one of the two sets is laid out."""

    train: tuple[str, ...]
    test: str
    names: str
    folder: str
    archive: str
    labels: int
    classes: int


VERSIONS = {
    "cifar10": Version(
        train=tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
        test="test_batch.bin",
        names="batches.meta.txt",
        folder="cifar-10-batches-bin",
        archive="cifar-10-binary.tar.gz",
        labels=1,
        classes=10,
    ),
    "cifar100": Version(
        train=("train.bin",),
        test="test.bin",
        names="fine_label_names.txt",
        folder="cifar-100-binary",
        archive="cifar-100-binary.tar.gz",
        labels=2,
        classes=100,
    ),
}


def cifar_source(text: str, kind: str, path: str, image_size: int | None = None) -> Source:
    """CIFAR-10 or CIFAR-100 (its 100 fine classes), with its official test images.

    Args:
        text: what the user asked for, for the errors.
        kind: cifar10 or cifar100.
        path: the folder of the .bin files, the folder it is in, or the .tar.gz itself.
        image_size: the side to resize to; 32 if left out.

    Raises:
        UserError: the files are missing, damaged, or of the Python version, which is pickled:
            reading it could run anything.
    """
    version = VERSIONS[kind]
    if not path:
        raise UserError(
            f"--data {text}: the path is missing; allowed: {kind}:PATH of the folder of the"
            f" binary version or of {version.archive}"
        )
    files = _open(text, Path(path).expanduser(), version)
    present = files.sizes()
    for name in (*version.train, version.test):
        if name not in present:
            raise UserError(_missing(text, name, list(present), version))
        if present[name] == 0 or present[name] % (version.labels + _PIXELS):
            raise UserError(
                f"--data {text}: {name} has {present[name]} bytes; it is whole at a multiple of"
                f" {version.labels + _PIXELS}: get {version.archive} again"
            )
    # An archive is decompressed from the start for each pass, so one pass takes all.
    content = files.read({*version.train, version.test, version.names} & set(present))
    names = content.get(version.names, b"").decode("utf-8", "replace").split()
    classes = names if len(names) == version.classes else [str(n) for n in range(version.classes)]
    test_labels = _parse(text, [version.test], content, version).labels
    return arrays_source(
        kind,
        _parse(text, version.train, content, version),
        lambda: _parse(text, [version.test], files.read({version.test}), version),
        test_labels,
        classes,
        image_size,
    )


def _parse(
    text: str, names: Sequence[str], content: dict[str, bytes], version: Version
) -> TensorImages:
    records = np.concatenate(
        [
            np.frombuffer(content[name], np.uint8).reshape(-1, version.labels + _PIXELS)
            for name in names
        ]
    )
    # CIFAR-100 has the coarse label first; the fine one is always next to the pixels.
    labels = torch.from_numpy(records[:, version.labels - 1].astype(np.int64))
    if int(labels.max()) >= version.classes:
        raise UserError(
            f"--data {text}: {', '.join(names)}: the label {int(labels.max())}; allowed: 0 to"
            f" {version.classes - 1}; get {version.archive} again"
        )
    pixels = records[:, version.labels :].reshape(-1, 3, 32, 32).copy()
    return TensorImages(torch.from_numpy(pixels), labels)


def _missing(text: str, name: str, present: list[str], version: Version) -> str:
    if any(other in present for other in ("data_batch_1", "batches.meta", "train", "meta")):
        return (
            f"--data {text}: this is the Python version, whose pickles are never read;"
            f" get the binary version: {version.archive}"
        )
    return (
        f"--data {text}: no {name} in it; allowed: the folder of the binary version, the folder"
        f" {version.folder}/ is in, or {version.archive}"
    )


class _Files(ABC):
    """The files of a folder or of an archive, by the last part of their name."""

    @abstractmethod
    def sizes(self) -> dict[str, int]:
        """The bytes of each file."""

    @abstractmethod
    def read(self, names: set[str]) -> dict[str, bytes]:
        """The content of some files."""


class _Folder(_Files):
    def __init__(self, root: Path) -> None:
        self.root = root

    def sizes(self) -> dict[str, int]:
        return {
            entry.name: entry.stat().st_size for entry in self.root.iterdir() if entry.is_file()
        }

    def read(self, names: set[str]) -> dict[str, bytes]:
        return {name: (self.root / name).read_bytes() for name in names}


class _Archive(_Files):
    def __init__(self, text: str, path: Path) -> None:
        self.text = text
        self.path = path

    def sizes(self) -> dict[str, int]:
        return {name: size for name, (size, _) in self._walk(set()).items()}

    def read(self, names: set[str]) -> dict[str, bytes]:
        return {name: content for name, (_, content) in self._walk(names).items() if name in names}

    def _walk(self, wanted: set[str]) -> dict[str, tuple[int, bytes]]:
        found = {}
        try:
            with tarfile.open(self.path, "r:*") as archive:
                for member in archive:
                    name = member.name.rsplit("/", 1)[-1]
                    if member.isfile():
                        file = archive.extractfile(member) if name in wanted else None
                        found[name] = (member.size, file.read() if file else b"")
        except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
            raise UserError(
                f"--data {self.text}: not a whole .tar.gz ({' '.join(str(error).split())});"
                " download it again"
            ) from None
        return found


def _open(text: str, path: Path, version: Version) -> _Files:
    if path.is_dir():
        inner = path / version.folder
        return _Folder(inner if inner.is_dir() else path)
    if path.is_file():
        return _Archive(text, path)
    raise UserError(
        f"--data {text}: no such folder or file; allowed: the folder of the binary version, or"
        f" {version.archive}"
    )
