"""The time spent on a stage of a run, counted on where an interrupted stage is resumed."""

from __future__ import annotations

import time
from pathlib import Path

from spos._util.files import write_json

#: Seconds between records of the time in the file.
INTERVAL = 5.0


class Stopwatch:
    """The seconds spent on a stage, also by earlier processes.

    Args:
        path (Path): file with the seconds spent so far; missing before the first record.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.before = float(path.read_text())
        except (OSError, ValueError):
            self.before = 0.0
        self._began = time.monotonic()
        self._recorded = float("-inf")

    @property
    def seconds(self) -> float:
        """Seconds spent in total."""
        return self.before + time.monotonic() - self._began

    def record(self) -> None:
        """Write the seconds to the file, at most every :data:`INTERVAL` seconds."""
        now = time.monotonic()
        if now - self._recorded > INTERVAL:
            self._recorded = now
            write_json(self.path, self.seconds)
