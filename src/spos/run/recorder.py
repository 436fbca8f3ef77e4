"""A training's progress, written to the metrics and TensorBoard, and told to the listener."""

from __future__ import annotations

import dataclasses

from lightning_fabric.loggers.tensorboard import TensorBoardLogger

from spos._util.listener import Listener
from spos.run.directory import RunDirectory
from spos.training.checkpoint import Loaded
from spos.training.progress import Progress


class Recorder:
    """The observer of one training of a run.

    Args:
        directory: of the run.
        stage: such as "train".
        listener: told of progress.
    """

    def __init__(self, directory: RunDirectory, stage: str, listener: Listener) -> None:
        self._directory = directory
        self._stage = stage
        self._listener = listener
        self._logger: TensorBoardLogger | None = None
        self._step = 0

    def resumed(self, loaded: Loaded) -> None:
        """Forget what was recorded after the checkpoint."""
        self._step = loaded.step
        for reason in loaded.damaged:
            self._listener.message(
                f"damaged checkpoint: {reason}; going on from step {loaded.step} instead"
            )

    def progressed(self, progress: Progress) -> None:
        """Record and tell."""
        if self._logger is None:
            # Only now is it known that there is something to do, and from which step on.
            self._directory.rewind_metrics(self._stage, self._step)
            self._logger = TensorBoardLogger(
                root_dir=self._directory.path,
                name="tensorboard",
                version=self._stage,
                # TensorBoard forgets this step and later ones.
                purge_step=self._step + 1,
            )
        values = {k: v for k, v in dataclasses.asdict(progress).items() if v is not None}
        self._directory.record({"stage": self._stage, **values})
        curves = ("loss", "top1", "learning_rate", "images_per_second")
        self._logger.log_metrics({k: values[k] for k in curves if k in values}, progress.step)
        self._logger.save()
        top1 = "" if progress.top1 is None else f"  top-1 {progress.top1:.1%}"
        self._listener.progress(
            self._stage,
            progress.step,
            progress.steps,
            f"loss {progress.loss:.3f}{top1}  {progress.images_per_second:,.0f} images/s",
        )
