"""The peak memory of a stage of a run, as it was measured."""

from __future__ import annotations

import re
from pathlib import Path

import psutil
import torch

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class PeakMemory:
    """The peak memory since this object was made.

    On a GPU it is what torch has allocated there. Elsewhere it is the resident memory of the
    process, libraries and images included: on Linux its peak, on other systems the largest value
    that :meth:`read` has met.

    Args:
        device (torch.device): device of the stage.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._largest = 0
        self._resets = False
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            return
        try:
            # Only the mark of the peak is reset, nothing is freed.
            _RESET.write_text("5")
            self._resets = True
        except OSError:
            self._resets = False

    def read(self) -> int:
        """The peak so far in bytes."""
        if self._device.type == "cuda":
            return int(torch.cuda.max_memory_allocated(self._device))
        if self._resets:
            found = re.search(r"VmHWM:\s+(\d+) kB", _STATUS.read_text())
            if found:
                return int(found[1]) << 10
        self._largest = max(self._largest, psutil.Process().memory_info().rss)
        return self._largest
