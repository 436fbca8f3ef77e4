"""Images in memory that the processes of one machine share."""

from __future__ import annotations

import io
import os
import pickle
import shutil
from pathlib import Path

from torch import Tensor

from spos.data import ImageData
from spos.run.context import Context

#: Where Linux has the memory that processes share. Containers often have no more than 64 MB.
SHARED = Path("/dev/shm")
#: Share of what is free there that images take at most.
MOST = 0.5


def images_to_share(context: Context) -> ImageData | None:
    """The images of a run, if torch can move them to memory that processes share.

    It does as soon as they are sent to a process; nothing is copied for further ones.

    Args:
        context (Context): the run.

    Returns:
        The images; None if each process has to read them itself.

    Raises:
        UserError: the images cannot be read.
    """
    if not (SHARED.is_dir() and os.access(SHARED, os.W_OK)):
        return None
    counted = _Counted(io.BytesIO())
    try:
        counted.dump(context.data)
    except (pickle.PicklingError, AttributeError, TypeError):
        # They have a function that processes cannot be sent, and make it themselves.
        return None
    room = MOST * shutil.disk_usage(SHARED).free
    return context.data if sum(counted.sizes.values()) <= room else None


class _Counted(pickle.Pickler):
    """Counts the bytes of tensors in place of writing them."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.sizes: dict[int, int] = {}

    def persistent_id(self, value: object) -> str | None:
        if not isinstance(value, Tensor):
            return None
        storage = value.untyped_storage()
        self.sizes[storage.data_ptr()] = storage.nbytes()
        return "tensor"
