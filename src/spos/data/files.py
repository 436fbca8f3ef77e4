"""Image files in a folder or a zip archive, read by threads; broken ones are recorded."""

from __future__ import annotations

import errno
import heapq
import os
import stat
import warnings
import zipfile
from collections import Counter
from collections.abc import Sequence
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Protocol, TypeAlias

import numpy as np
import torch
from torch import Tensor

from spos._util.cores import usable_cores
from spos._util.errors import UserError
from spos.data.decode import BrokenImageError, check, decode_and_measure, to_array
from spos.data.images import digest
from spos.data.photograph import fit
from spos.data.reading import tell_read

FILES_PER_TASK = 16
LARGEST = 128 << 20
"""Bytes of the largest file that is read: the images of data sets are far smaller."""


def read_image_file(path: Path) -> bytes:
    """Content of a file; nothing is read from a pipe, a device or a huge file.

    Raises:
        BrokenImageError: the file cannot be read, is not a regular one, or is too large.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise BrokenImageError("not a regular file")
        check_file_size(status.st_size)
        # Files of the kernel, such as /proc/kmsg, have no size, and reading some never ends.
        return path.read_bytes() if status.st_size else b""
    except OSError as error:
        raise unreadable(error) from None
    except ValueError as error:
        # No file has such a name; a table may.
        raise BrokenImageError(str(error)) from None


def unreadable(error: OSError) -> BrokenImageError:
    """The reason why a file cannot be read.

    Raises:
        UserError: it is that this process may open no further files, whatever their content.
    """
    if error.errno in (errno.EMFILE, errno.ENFILE):
        raise UserError(f"{error.strerror}; allow more, such as by ulimit -n 4096") from None
    return BrokenImageError(error.strerror or type(error).__name__)


def check_file_size(size: int) -> None:
    if size > LARGEST:
        raise BrokenImageError(f"it has {size:,} bytes; allowed: at most {LARGEST:,}")


class FolderStore:
    """Files below a folder, by their name relative to it; hidden ones are left out.

    Symbolic links are followed, but what has several names is read once: by the name without a
    link, or by the first one. So no circle of links is endless, and no file is in two splits.

    Args:
        root (Path): the folder.
        most (int | None): files and folders that it may have; None for any number.

    Attributes:
        repeated (list[str]): links to what is read by another name.

    Example:
        >>> import tempfile
        >>> root = Path(tempfile.mkdtemp())
        >>> _ = (root / "a.txt").write_bytes(b"whole")
        >>> FolderStore(root).names(), FolderStore(root).read("a.txt")
        (['a.txt'], b'whole')
    """

    def __init__(self, root: Path, most: int | None = None) -> None:
        self.root, self.most = root, most
        self.repeated: list[str] = []

    def names(self) -> list[str]:
        """Names of all files, and of all folders with / at the end; unsorted.

        Raises:
            UserError: the folder cannot be read, or has too many of them.
        """
        found: list[str] = []
        seen = set[str]()
        self.repeated.clear()
        # What needs no link comes first, then links by their names: the order of a disk is any.
        queue = [(0, "", os.path.realpath(self.root))]
        while queue:
            links, name, real = heapq.heappop(queue)
            is_folder, (folder, last) = os.path.isdir(real), os.path.split(real)
            listed = not is_folder and folder in seen and last[:1] != "." and os.path.exists(real)
            if listed or real in seen:
                self.repeated.append(name)
                continue
            seen.add(real)
            if not is_folder:
                found.append(name)
                continue
            prefix = f"{name}/" if name else ""
            found.extend([prefix] if prefix else [])
            try:
                with os.scandir(real) as entries:
                    for entry in entries:
                        inside = prefix + entry.name
                        if entry.name.startswith("."):
                            continue
                        if self.most is not None and len(found) + len(queue) >= self.most:
                            raise UserError(f"more than {self.most:,} files and folders in it")
                        if entry.is_symlink():
                            heapq.heappush(queue, (links + 1, inside, os.path.realpath(entry.path)))
                        elif entry.is_dir():
                            heapq.heappush(queue, (links, inside, entry.path))
                        else:
                            (self.repeated if entry.path in seen else found).append(inside)
            except OSError as error:
                # Of a disk, nobody needs what its repair has found; images must not be missed.
                if last != "lost+found":
                    which = f"the folder {prefix}" if prefix else "the folder"
                    raise UserError(f"{which} cannot be read ({error.strerror})") from None
        return found

    def read(self, name: str) -> bytes:
        """Content of a file; safe in any thread and in forked processes.

        Raises:
            BrokenImageError: the file cannot be read.
        """
        return read_image_file(self.root / name)


class ZipStore:
    """Files of a zip archive, as those of a folder.

    Args:
        path (Path): the archive.

    Raises:
        UserError: the file is not a zip archive, or needs a password.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.repeated: list[str] = []
        try:
            self._archive = zipfile.ZipFile(path)
        # A damaged archive raises errors of its parts as well.
        except Exception as error:
            raise UserError(
                f"not a readable zip archive ({error}); allowed: a folder or a whole .zip file"
            ) from None
        if any(member.flag_bits & 0x1 for member in self._archive.infolist()):
            raise UserError("the archive needs a password; unpack it first")
        # Of a name again the last one is read: a file that was replaced. Some tools write ./ before
        # all names.
        self._members = {
            # Archives of old tools of Windows have names with backslashes.
            (name if "/" in name else name.replace("\\", "/")).removeprefix("./"): member
            for name, member in self._archive.NameToInfo.items()
        }
        self._process = os.getpid()

    def __reduce__(self) -> tuple[type[ZipStore], tuple[Path]]:
        return ZipStore, (self.path,)

    def names(self) -> list[str]:
        """Names of all files, and of the folders that the archive lists; unsorted."""
        return list(self._members)

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
            member = self._members[name]
            check_file_size(member.file_size)
            with self._archive.open(member) as file:
                # Not all that is there: a member may be larger than the archive says.
                return file.read(member.file_size)
        except BrokenImageError:
            raise
        except Exception as error:
            # Damaged data raises errors of zlib, bz2, lzma, struct and zipfile.
            raise BrokenImageError(f"damaged in the archive: {error}") from None


class Store(Protocol):
    """Files by name; picklable, and sent to the processes that decode images."""

    def read(self, name: str) -> bytes:
        """Content of a file; safe in any thread and in forked processes.

        Raises:
            BrokenImageError: the file cannot be read.
        """


Sizes: TypeAlias = Counter[tuple[int, int]]
"""Number of images by their width and height in pixels."""


def read_files(
    store: Store, names: Sequence[str], image_size: int | None
) -> tuple[Tensor, list[int], Sizes, dict[int, str]]:
    """Decode files to this side in pixels; with None only check that they are whole.

    A check takes 1 to 2 ms of a core for a photograph.

    Returns:
        tuple: pixels, uint8, shape (N, 3, S, S), those of broken files arbitrary, and none after a
        check; a number for each file, the same for equal ones; the sizes of whole
        files, as stored; the reason for each broken file, by its index.
    """
    shape = (len(names) if image_size else 0, 3, image_size or 0, image_size or 0)
    pixels, sizes, broken = np.empty(shape, np.uint8), Sizes(), dict[int, str]()
    digests = [0] * len(names)

    def attempt(at: int) -> tuple[int, int] | str:
        try:
            content = store.read(names[at])
            digests[at] = digest(content)
            if image_size is None:
                return check(content)
            image, size = decode_and_measure(content, image_size)
            pixels[at] = to_array(fit(image, image_size))
            return size
        except BrokenImageError as error:
            return str(error)

    with warnings.catch_warnings(), ThreadPool(usable_cores()) as pool:
        # Pillow warns about odd metadata; only the pixels matter here.
        warnings.simplefilter("ignore")
        for at, result in enumerate(pool.imap(attempt, range(len(names)), FILES_PER_TASK)):
            if isinstance(result, str):
                broken[at] = result
            else:
                sizes[result] += 1
            if (at + 1) % FILES_PER_TASK == 0 or at + 1 == len(names):
                tell_read(at + 1, len(names))
    return torch.from_numpy(pixels), digests, sizes, broken
