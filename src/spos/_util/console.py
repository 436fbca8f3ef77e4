"""The progress of a run: a bar on a terminal, a line a minute elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from spos._util.streams import terminal_may_close
from spos._util.text import printable, redact

#: Seconds between lines where the output is a file.
LINE_INTERVAL = 60.0
#: Columns of a terminal that shows everything.
WIDE = 110


class ConsoleListener:
    """Writes the progress of a run to standard error."""

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._stage = ""
        self._told = 0.0

    def __getstate__(self) -> dict[str, Any]:
        return vars(ConsoleListener())

    def message(self, text: str) -> None:
        """Write a message on a line of its own."""
        text = redact(printable(text))
        with terminal_may_close():
            if self._progress is not None:
                self._progress.console.print(f"spos: {text}", markup=False, highlight=False)
            else:
                print(f"spos: {text}", file=sys.stderr, flush=True)

    def progress(self, stage: str, done: int, total: int, detail: str) -> None:
        """Update the bar, or write a line if the last one is a minute ago."""
        with terminal_may_close():
            self._show(stage, done, total, detail)

    def close(self) -> None:
        """Stop the bar and leave it on the terminal."""
        progress, self._progress, self._stage = self._progress, None, ""
        with terminal_may_close():
            if progress is not None:
                progress.stop()

    def _show(self, stage: str, done: int, total: int, detail: str) -> None:
        if not sys.stderr.isatty():
            now = time.monotonic()
            if stage != self._stage or done >= total or now - self._told >= LINE_INTERVAL:
                self._stage, self._told = stage, now
                print(f"spos: {stage} {done}/{total}  {detail}", file=sys.stderr, flush=True)
            return
        if stage != self._stage:
            self.close()
            self._stage = stage
            console = Console(stderr=True)
            wide = console.width >= WIDE
            self._progress = Progress(
                TextColumn("{task.description:<10}"),
                # On a narrow terminal the times count more than the bar.
                BarColumn(bar_width=24 if wide else 6),
                MofNCompleteColumn(),
                *([TimeElapsedColumn()] if wide else []),
                TimeRemainingColumn(),
                TextColumn("{task.fields[detail]}"),
                console=console,
            )
            self._progress.start()
            self._progress.add_task(stage, total=total, completed=done, detail="")
        assert self._progress is not None
        # Longer details would squeeze the other columns.
        width = self._progress.console.width
        taken = (53 if width >= WIDE else 28) + 2 * len(str(total))
        detail = detail[: max(width - taken, 20)]
        (task,) = self._progress.task_ids
        self._progress.update(task, completed=done, total=total, detail=detail)
        if done >= total:
            self.close()
