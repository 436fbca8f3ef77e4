"""Images in memory that the processes of one machine share."""

from __future__ import annotations

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
#: Bytes beside the tensors, such as names of files, that are copied for each process at most.
LARGEST_SENT = 64 << 20


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
    data, counted = context.data, _Counted()
    try:
        counted.dump(data)
    # What the user's own objects raise when they cannot be pickled may be anything.
    except Exception:
        return None
    room = MOST * shutil.disk_usage(SHARED).free
    return data if counted.shared <= room and counted.sent <= LARGEST_SENT else None


class _Counted(pickle.Pickler):
    """Counts the bytes of tensors, and those of everything else, in place of writing them."""

    def __init__(self) -> None:
        # What is written comes back to this object.
        super().__init__(self)
        self.sent, self._tensors = 0, dict[int, int]()

    @property
    def shared(self) -> int:
        return sum(self._tensors.values())

    def write(self, content: bytes) -> None:
        self.sent += len(content)

    def persistent_id(self, value: object) -> str | None:
        if not isinstance(value, Tensor):
            return None
        storage = value.untyped_storage()
        self._tensors[storage.data_ptr()] = storage.nbytes()
        return "tensor"
