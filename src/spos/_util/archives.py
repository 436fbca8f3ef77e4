"""Zip files as torch writes them, which may come from anybody."""

from __future__ import annotations

import zipfile
from pathlib import Path


def find_damage(path: Path) -> str:
    """Say what is wrong with a zip file of torch; empty if nothing is.

    torch stores members without compression, and does not check their checksums.

    Args:
        path (Path): a zip file.

    Raises:
        Exception: zipfile raises many kinds for damaged archives.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "a.zip"
        >>> with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        ...     archive.writestr("zeros", bytes(10_000))
        >>> find_damage(path)
        'its members are larger than the file'
    """
    with zipfile.ZipFile(path) as archive:
        # Checked before anything is unpacked: a few megabytes can hold gigabytes.
        if sum(member.file_size for member in archive.infolist()) > path.stat().st_size:
            return "its members are larger than the file"
        damaged = archive.testzip()
    return f"the checksum of {damaged} in it differs" if damaged else ""
