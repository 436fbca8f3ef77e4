"""IDX files, the format of MNIST: a header with the shape, then bytes."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from spos._util.errors import UserError


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
    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: cannot be read ({reason}); get a whole IDX file") from None
    magic, header = bytes([0, 0, 8, dimensions]), 4 + 4 * dimensions
    if content[:4] != magic or len(content) < header:
        raise UserError(
            f"{path}: begins with {content[:4].hex() or 'nothing'}; an IDX file of bytes with "
            f"{dimensions} dimensions begins with {magic.hex()} and a header of {header} bytes"
        )
    shape = struct.unpack(f">{dimensions}I", content[4:header])
    expected = header + math.prod(shape)
    if len(content) != expected:
        raise UserError(
            f"{path}: {len(content)} bytes; its header says {' x '.join(map(str, shape))},"
            f" which needs {expected}"
        )
    values: npt.NDArray[np.uint8] = np.frombuffer(content, np.uint8, offset=header).copy()
    return values.reshape(shape)
