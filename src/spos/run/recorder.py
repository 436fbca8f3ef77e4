"""What is recorded of a stage: its progress, its time and its memory."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import torch

from spos._util.files import read_text, write_json
from spos._util.listener import Listener
from spos.run.directory import RunDirectory
from spos.training.checkpoint import Loaded
from spos.training.progress import Progress

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


#: Seconds between records of the time in the file.
INTERVAL = 5.0
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
        with suppress(OSError):
            # Only the mark of the peak is reset, nothing is freed.
            _RESET.write_text("5")
            self._resets = True

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


class Stopwatch:
    """The seconds spent on a stage, also by earlier processes.

    Args:
        path (Path): file with the seconds spent so far; missing before the first record.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.before = 0.0
        with suppress(OSError, ValueError):
            spent = float(read_text(path))
            self.before = spent if math.isfinite(spent) else 0.0
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


def stopwatch(directory: RunDirectory, stage: str) -> Stopwatch:
    """The time of a stage of a run."""
    return Stopwatch(directory.path / f".{stage}-seconds")


@contextmanager
def timed(directory: RunDirectory, stage: str) -> Iterator[Stopwatch]:
    """Time a stage whose trainings may run side by side; what a killed process spent is not known.

    Args:
        directory (RunDirectory): directory of the run.
        stage (str): name of the stage.
    """
    watch = stopwatch(directory, stage)
    try:
        yield watch
    finally:
        # Of a run that was refused before its start nothing is left behind.
        if directory.config_path.exists():
            watch.record()


@dataclass
class Recorder:
    """The observer of one training of a run.

    Args:
        directory (RunDirectory): directory of the run.
        stage (str): name of the stage in the metrics.
        listener (Listener): receiver of progress and messages.
        memory (PeakMemory): peak memory of the stage.
        label (str | None): name of the training in progress reports; None for the stage.
        measure (Callable | None): function from a step to what else is recorded of it.
    """

    directory: RunDirectory
    stage: str
    listener: Listener
    memory: PeakMemory
    label: str | None = None
    measure: Callable[[int], Mapping[str, Any]] | None = None
    _writer: SummaryWriter | None = field(init=False, default=None)
    _step: int = field(init=False, default=0)

    def resumed(self, loaded: Loaded) -> None:
        """Report damaged checkpoints, and note the step that the training resumes from."""
        self._step = loaded.step
        for reason in loaded.damaged:
            self.listener.message(
                f"damaged checkpoint: {reason}; resuming from step {loaded.step} instead"
            )

    def progressed(self, progress: Progress) -> None:
        """Record a progress report, and pass it on to the listener."""
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            # Set up on the first report, because a finished training has nothing to record.
            self.directory.rewind_metrics(self.stage, self._step)
            folder = self.directory.path / "tensorboard" / self.stage
            # TensorBoard discards this step and later ones, which are about to be repeated.
            self._writer = SummaryWriter(str(folder), purge_step=self._step + 1)
        values = {k: v for k, v in asdict(progress).items() if v is not None}
        if self.measure is not None:
            values |= self.measure(progress.step)
        self.directory.record({"stage": self.stage, **values, "peak_memory": self.memory.read()})
        for curve in ("loss", "top1", "learning_rate", "images_per_second", "validation"):
            if curve in values:
                self._writer.add_scalar(curve, values[curve], progress.step)
        self._writer.flush()
        top1 = "" if progress.top1 is None else f"  top-1 {progress.top1:.1%}"
        text = f"loss {progress.loss:.3f}{top1}  {progress.images_per_second:,.0f} images/s"
        self.listener.progress(self.label or self.stage, progress.step, progress.steps, text)


@dataclass
class ThetaRecorder:
    """A writer of theta to the metrics of a run, in lines of the stage ``theta``."""

    directory: RunDirectory
    _rewound: bool = field(init=False, default=False)

    def __call__(self, values: Mapping[str, Any]) -> None:
        """Append a record with at least the key ``step``."""
        if not self._rewound:
            # A resumed training repeats some steps.
            self.directory.rewind_metrics("theta", values["step"] - 1)
            self._rewound = True
        self.directory.record({"stage": "theta", **values})
