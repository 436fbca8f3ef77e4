"""Files in tar archives, read at any place."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from spos.data.decode import BrokenImageError
from spos.data.files import check_file_size, unreadable

MOST_OPEN = 64
"""Shards that are kept open: a process may open few files, on some systems 256."""

#: Where a file is: the number of its shard, its offset and its size in bytes.
Place = tuple[int, int, int]


class ShardStore:
    """Files in tar archives, each by the name of its archive and its own.

    Args:
        paths (Sequence[str]): the archives.
        places (dict[str, Place]): where each file is.
    """

    def __init__(self, paths: Sequence[str], places: dict[str, Place]) -> None:
        self.paths, self.places = paths, places
        self._opened = lru_cache(MOST_OPEN)(_Shard)

    def __reduce__(self) -> tuple[Any, ...]:
        return ShardStore, (self.paths, self.places)

    def read(self, name: str) -> bytes:
        """Content of a file; safe in any thread and in forked processes.

        Raises:
            BrokenImageError: the file cannot be read.
        """
        shard, offset, size = self.places[name]
        try:
            check_file_size(size)
            content = self._opened(self.paths[shard]).read(size, offset)
        except OSError as error:
            raise unreadable(error) from None
        if len(content) != size:
            raise BrokenImageError("the shard ends in it")
        return content


class _Shard:
    """An open archive, closed when no thread reads it and it is no longer kept.

    Args:
        path (str): the archive.
    """

    def __init__(self, path: str) -> None:
        self.file = io.FileIO(path)

    def __del__(self) -> None:
        # Missing if it could not be opened.
        if hasattr(self, "file"):
            self.file.close()

    def read(self, size: int, offset: int) -> bytes:
        """Bytes from a place of the file; fewer at its end."""
        # At a place of its own, because processes and threads share the position of a file.
        return os.pread(self.file.fileno(), size, offset)
