"""A finished training of a supernet, opened by a benchmark to evaluate its candidates."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from spos._util.listener import Silent
from spos._util.randomness import generator
from spos.data.images import Images
from spos.run.context import Context
from spos.run.directory import RunDirectory
from spos.run.task import Task


def open_run(run: Path, calibration: int | None = None, task: Task | None = None) -> Context:
    """Open a run on the CPU.

    Args:
        run: its directory.
        calibration: number of images for the recalibration; None for that of the run.
        task: loss and score; None for those of a classification.
    """
    directory = RunDirectory(run)
    config, fixed = directory.resolve_config({}, ())
    if calibration is not None:
        config = replace(config, run=replace(config.run, calibration=calibration))
    return Context(config, fixed, directory, Silent(), accelerator="cpu", task=task or Task())


def choose_validation(context: Context, count: int | None) -> Images:
    """Choose some of the validation images of a run; all of them for None."""
    images = context.data.validation
    if count is None:
        return images
    if count > len(images):
        raise SystemExit(f"--validation {count}: the run has {len(images)} validation images")
    # In the order of a folder, the first images are all of one class.
    order = generator(0, "validation").permutation(len(images))
    return images.subset(sorted(order[:count].tolist()))
