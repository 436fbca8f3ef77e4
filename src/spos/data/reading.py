"""How far images are read: of large photographs it takes minutes."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from spos._util.listener import Listener

PATIENCE = 1.0
"""Seconds of reading that nobody is told of."""
INTERVAL = 0.1
"""Seconds between two reports of progress."""


@dataclass
class Reading:
    """Images that are being read.

    Args:
        listener (Listener): receiver of progress, as of a stage ``read``.

    Attributes:
        seconds (float): how long it took, once all are read.
    """

    listener: Listener
    seconds: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self._began = self._told = time.monotonic()
        # Processes that train together read the same images.
        self._quiet = multiprocessing.parent_process() is not None

    def tell(self, done: int, total: int) -> None:
        """Tell how many images of a set are read."""
        now = time.monotonic()
        seconds = now - self._began
        due = now - self._told >= INTERVAL or done == total
        if not self._quiet and seconds > PATIENCE and due:
            self._told = now
            self.listener.progress("read", done, total, f"{done / seconds:,.0f} images/s")


_CURRENT: ContextVar[Reading | None] = ContextVar("reading", default=None)


@contextmanager
def reading(listener: Listener) -> Iterator[Reading]:
    """While images are read in this context, tell a listener how far."""
    current = Reading(listener)
    token = _CURRENT.set(current)
    try:
        yield current
    finally:
        _CURRENT.reset(token)
        current.seconds = time.monotonic() - current._began


def tell_read(done: int, total: int) -> None:
    """Tell how many images of a set are read, if somebody listens."""
    current = _CURRENT.get()
    if current is not None:
        current.tell(done, total)
