"""Zip files as torch writes them, which may come from anybody."""

from __future__ import annotations

import zipfile
from pathlib import Path


def find_damage(path: Path) -> str:
    """Say what is wrong with a zip file; empty if nothing is.

    torch stores the members of its files as they are, and does not compare their checksums.

    Args:
        path (Path): a zip file.

    Raises:
        Exception: of damaged archives, zipfile raises whatever Python does.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "a.zip"
        >>> with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        ...     archive.writestr("zeros", bytes(10_000))
        >>> find_damage(path)
        'its members are larger than the file'
    """
    with zipfile.ZipFile(path) as archive:
        # Before anything is unpacked: a few megabytes can hold as many gigabytes.
        if sum(member.file_size for member in archive.infolist()) > path.stat().st_size:
            return "its members are larger than the file"
        damaged = archive.testzip()
    return f"the checksum of {damaged} in it differs" if damaged else ""
