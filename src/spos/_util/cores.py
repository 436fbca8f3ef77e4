"""The CPU cores that this process may use."""

from __future__ import annotations

import os


def usable_cores() -> int:
    """Count the cores that this process may use, of which a container gives it only some.

    Example:
        >>> 1 <= usable_cores() <= (os.cpu_count() or 1)
        True
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    # macOS binds no process to cores.
    return os.cpu_count() or 1
