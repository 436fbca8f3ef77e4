"""The progress of a training, reported to the metrics, TensorBoard and the listener."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from spos._util.listener import Listener
from spos.run.directory import RunDirectory
from spos.run.peak import PeakMemory
from spos.training.checkpoint import Loaded
from spos.training.progress import Progress

if TYPE_CHECKING:
    from lightning_fabric.loggers.tensorboard import TensorBoardLogger


class Recorder:
    """The observer of one training of a run."""

    def __init__(
        self,
        directory: RunDirectory,
        stage: str,
        listener: Listener,
        memory: PeakMemory,
        label: str | None = None,
    ) -> None:
        self._memory = memory
        self._directory = directory
        self._stage = stage
        self._label = label or stage
        self._listener = listener
        self._logger: TensorBoardLogger | None = None
        self._step = 0

    def resumed(self, loaded: Loaded) -> None:
        """Report damaged checkpoints, and note the step that the training resumes from."""
        self._step = loaded.step
        for reason in loaded.damaged:
            self._listener.message(
                f"damaged checkpoint: {reason}; resuming from step {loaded.step} instead"
            )

    def progressed(self, progress: Progress) -> None:
        """Record a progress report, and pass it on to the listener."""
        if self._logger is None:
            from lightning_fabric.loggers.tensorboard import TensorBoardLogger

            # Set up on the first report, because a finished training has nothing to record.
            self._directory.rewind_metrics(self._stage, self._step)
            self._logger = TensorBoardLogger(
                root_dir=self._directory.path,
                name="tensorboard",
                version=self._stage,
                # TensorBoard discards this step and later ones, which are about to be repeated.
                purge_step=self._step + 1,
            )
        values = {k: v for k, v in dataclasses.asdict(progress).items() if v is not None}
        self._directory.record({"stage": self._stage, **values, "peak_memory": self._memory.read()})
        curves = ("loss", "top1", "learning_rate", "images_per_second")
        self._logger.log_metrics({k: values[k] for k in curves if k in values}, progress.step)
        self._logger.save()
        top1 = "" if progress.top1 is None else f"  top-1 {progress.top1:.1%}"
        self._listener.progress(
            self._label,
            progress.step,
            progress.steps,
            f"loss {progress.loss:.3f}{top1}  {progress.images_per_second:,.0f} images/s",
        )


class ThetaRecorder:
    """A writer of theta to the metrics of a run, in lines of the stage ``theta``."""

    def __init__(self, directory: RunDirectory) -> None:
        self._directory = directory
        self._rewound = False

    def __call__(self, values: Mapping[str, Any]) -> None:
        """Append a record with at least the key ``step``."""
        if not self._rewound:
            # A resumed training repeats some steps.
            self._directory.rewind_metrics("theta", values["step"] - 1)
            self._rewound = True
        self._directory.record({"stage": "theta", **values})
