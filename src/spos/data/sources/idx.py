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

_UNSIGNED_BYTE = 0x08


def read_idx(path: Path, dimensions: int) -> npt.NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes.

    Args:
        path: the file; one that ends in .gz is decompressed.
        dimensions: how many it must have: 3 for images, 1 for labels.

    Returns:
        The values in the shape that the header says, writable.

    Raises:
        UserError: it cannot be read, is of another kind, or is not as long as it says.

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
        raise UserError(f"{path}: it cannot be read ({reason}); get a whole IDX file") from None
    magic = bytes([0, 0, _UNSIGNED_BYTE, dimensions])
    if content[:4] != magic:
        raise UserError(
            f"{path}: it begins with {content[:4].hex() or 'nothing'}; an IDX file of bytes with"
            f" {dimensions} dimension{'s' * (dimensions > 1)} begins with {magic.hex()}"
        )
    header = 4 + 4 * dimensions
    if len(content) < header:
        raise UserError(f"{path}: {len(content)} bytes; its IDX header alone has {header}")
    shape = struct.unpack(f">{dimensions}I", content[4:header])
    expected = header + math.prod(shape)
    if len(content) != expected:
        raise UserError(
            f"{path}: {len(content)} bytes; its header says {' x '.join(map(str, shape))},"
            f" which needs {expected}"
        )
    values = np.frombuffer(content, np.uint8, offset=header)
    shaped: npt.NDArray[np.uint8] = values.reshape(shape).copy()
    return shaped
