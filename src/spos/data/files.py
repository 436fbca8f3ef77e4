"""Image files in a folder or a zip archive, read by threads; broken ones are recorded."""

from __future__ import annotations

import os
import warnings
import zipfile
from collections import Counter
from collections.abc import Sequence
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from spos._util.errors import UserError
from spos.data.decode import BrokenImageError, check, decode_and_measure, to_array
from spos.data.photograph import fit

FILES_PER_TASK = 64


class FolderStore:
    """Files below a folder, by their name relative to it; symbolic links are followed.

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
        """Names of all files, and of all folders with / at the end; unsorted."""
        found = []
        for folder, folders, files in os.walk(self.root, followlinks=True):
            inside = Path(folder).relative_to(self.root)
            found += [f"{(inside / name).as_posix()}/" for name in folders]
            found += [(inside / name).as_posix() for name in files]
        return found

    def read(self, name: str) -> bytes:
        """Content of a file; safe in any thread and in forked processes.

        Raises:
            BrokenImageError: the file cannot be read.
        """
        try:
            return (self.root / name).read_bytes()
        except OSError as error:
            raise BrokenImageError(error.strerror or type(error).__name__) from None


class ZipStore:
    """Files of a zip archive, as those of a folder.

    Args:
        path (Path): the archive.

    Raises:
        UserError: the file is not a zip archive, or needs a password.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._archive = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError) as error:
            raise UserError(
                f"not a readable zip archive ({error}); allowed: a folder or a whole .zip file"
            ) from None
        if any(member.flag_bits & 0x1 for member in self._archive.infolist()):
            raise UserError("the archive needs a password; unpack it first")
        self._process = os.getpid()

    def __reduce__(self) -> tuple[type[ZipStore], tuple[Path]]:
        return ZipStore, (self.path,)

    def names(self) -> list[str]:
        """Names of all files, and of the folders that the archive lists; unsorted."""
        return self._archive.namelist()

    def read(self, name: str) -> bytes:
        """Content of a file; safe in any thread and in forked processes.

        Raises:
            BrokenImageError: the file cannot be read.
        """
        if self._process != os.getpid():
            # A forked process shares the file position with its parent: open the file anew, but
            # keep the index, which is large for a million files.
            self._archive.fp = self.path.open("rb")
            self._process = os.getpid()
        try:
            return self._archive.read(name)
        except Exception as error:
            # Damaged data raises errors of zlib, bz2, lzma, struct and zipfile.
            raise BrokenImageError(f"damaged in the archive: {error}") from None


Store: TypeAlias = FolderStore | ZipStore


Sizes: TypeAlias = Counter[tuple[int, int]]
"""Number of images by their width and height in pixels."""


def read_files(
    store: Store, names: Sequence[str], image_size: int | None
) -> tuple[Tensor, Sizes, dict[int, str]]:
    """Decode files to this side in pixels; with None only check that they are whole.

    A check takes 1 to 2 ms of a core for a photograph.

    Returns:
        tuple: pixels, uint8, shape (N, 3, S, S), those of broken files arbitrary, and none after a
        check; the sizes of whole files, as stored; the reason for each broken file, by its index.
    """
    shape = (len(names) if image_size else 0, 3, image_size or 0, image_size or 0)
    pixels, sizes, broken = np.empty(shape, np.uint8), Sizes(), dict[int, str]()

    def attempt(at: int) -> tuple[int, int] | str:
        try:
            content = store.read(names[at])
            if image_size is None:
                return check(content)
            image, size = decode_and_measure(content, image_size)
            pixels[at] = to_array(fit(image, image_size))
            return size
        except BrokenImageError as error:
            return str(error)

    with warnings.catch_warnings(), ThreadPool(torch.get_num_threads()) as pool:
        # Pillow warns about odd metadata; only the pixels matter here.
        warnings.simplefilter("ignore")
        for at, result in enumerate(pool.imap(attempt, range(len(names)), FILES_PER_TASK)):
            if isinstance(result, str):
                broken[at] = result
            else:
                sizes[result] += 1
    return torch.from_numpy(pixels), sizes, broken
