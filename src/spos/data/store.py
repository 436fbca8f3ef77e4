"""Named files under one roof: a folder, or a zip archive that any number of threads may read."""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from abc import ABC, abstractmethod
from pathlib import Path

from spos._util.errors import UserError
from spos.data.decode import BrokenImageError


class Store(ABC):
    """Files by their name relative to the root, with / between folders."""

    @abstractmethod
    def names(self) -> list[str]:
        """The names of all files, and of all folders with / at the end; unsorted."""

    @abstractmethod
    def read(self, name: str) -> bytes:
        """The content of a file, in any thread or process.

        Raises:
            BrokenImageError: it cannot be read.
        """


class FolderStore(Store):
    """The files below a folder; links are followed.

    Example:
        >>> import tempfile
        >>> root = Path(tempfile.mkdtemp())
        >>> _ = (root / "a.txt").write_bytes(b"whole")
        >>> FolderStore(root).names(), FolderStore(root).read("a.txt")
        (['a.txt'], b'whole')
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def names(self) -> list[str]:
        found = []
        for folder, folders, files in os.walk(self.root, followlinks=True):
            prefix = Path(folder).relative_to(self.root).as_posix()
            prefix = "" if prefix == "." else f"{prefix}/"
            found += [f"{prefix}{name}/" for name in folders]
            found += [f"{prefix}{name}" for name in files]
        return found

    def read(self, name: str) -> bytes:
        try:
            return (self.root / name).read_bytes()
        except OSError as error:
            raise BrokenImageError(error.strerror or type(error).__name__) from None


class ZipStore(Store):
    """The files of a zip archive, stored or deflated.

    Python's reader shares one file position among threads and does not survive a fork; here the
    index is read once and each read opens the archive at its own position.

    Raises:
        UserError: it is no zip archive, or needs a password or another compression.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: dict[str, tuple[int, int, int, int, int]] = {}
        try:
            with zipfile.ZipFile(path) as archive:
                members = archive.infolist()
        except (zipfile.BadZipFile, OSError) as error:
            raise UserError(
                f"--data folder:{path}: not a readable zip archive ({error});"
                " allowed: a folder or a whole .zip file"
            ) from None
        for member in members:
            if member.flag_bits & 0x1:
                raise UserError(f"--data folder:{path}: it needs a password; unpack it first")
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise UserError(
                    f"--data folder:{path}: '{member.filename}' has compression"
                    f" {member.compress_type}; allowed: stored, deflated; unpack it first"
                )
            self.entries[member.filename] = (
                member.header_offset,
                member.compress_type,
                member.compress_size,
                member.file_size,
                member.CRC,
            )

    def names(self) -> list[str]:
        # An archive need not list its folders by themselves.
        folders = {
            name[: at + 1]
            for name in self.entries
            for at, letter in enumerate(name)
            if letter == "/"
        }
        return [*folders, *(name for name in self.entries if not name.endswith("/"))]

    def read(self, name: str) -> bytes:
        offset, method, packed, size, checksum = self.entries[name]
        try:
            with open(self.path, "rb") as file:
                file.seek(offset)
                header = file.read(30)
                # The lengths here may differ from those in the index.
                name_length, extra_length = struct.unpack("<HH", header[26:30])
                file.seek(offset + 30 + name_length + extra_length)
                content = file.read(packed)
            if method == zipfile.ZIP_DEFLATED:
                content = zlib.decompressobj(-zlib.MAX_WBITS).decompress(content, size + 1)
        except (OSError, struct.error, zlib.error) as error:
            raise BrokenImageError(f"damaged in the archive: {error}") from None
        if len(content) != size or zlib.crc32(content) != checksum:
            raise BrokenImageError("damaged in the archive: its checksum differs")
        return content
