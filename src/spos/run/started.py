"""What a run was started with, and whether what is given now is the same."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from spos._util.errors import UserError
from spos.data import ImageData
from spos.run.config import SETTINGS_WITHOUT_EFFECT, Config
from spos.run.directory import RunDirectory
from spos.run.outcome import StartFacts
from spos.run.task import TaskFacts


def make_start_facts(data: ImageData, config: Config) -> StartFacts:
    """Make the facts about the images and the settings that a run is started with."""
    same = ("source", "classes", "outputs", "image_size", "channels", "skipped", "notes")
    return StartFacts(
        **{name: getattr(data, name) for name in (*same, "fingerprint")},
        train=len(data.train),
        validation=len(data.validation),
        run=_digest(data.fingerprint, config),
    )


def reused_run(reused: str, config: Config) -> str:
    """What tells the outcomes of a run from those of the run whose supernet it reuses.

    Args:
        reused (str): the run that is reused, as its outcomes name it; empty in former runs.
        config (Config): configuration that the run begins with.
    """
    return reused and _digest(reused, config)


def _digest(images: str, config: Config) -> str:
    # A search may go on with more iterations.
    changing = (*SETTINGS_WITHOUT_EFFECT, "search.iterations")
    settings = [
        (section, name, value)
        for section, values in config.as_plain().items()
        for name, value in values.items()
        if f"{section}.{name}" not in changing
    ]
    text = json.dumps([images, settings], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def check_image_size(data: ImageData, side: int) -> None:
    """Check that the images are as large as those that costs are counted for.

    Args:
        data (ImageData): the images.
        side (int): side of the images of the space in pixels.

    Raises:
        UserError: a function of the user's own returned others.
    """
    if data.image_size != side:
        raise UserError(
            f"the images of the {data.source} have {data.image_size} pixels a side, the space "
            f"expects {side}: give layout.image_size {data.image_size}, or resize the images "
            f"(spos.data.dataset_data(..., image_size={side}))"
        )


def check_same_images(
    directory: RunDirectory, data: ImageData, *, copied_from: Path | None, own: bool
) -> None:
    """Check that the images are those that the run was started with.

    Args:
        directory (RunDirectory): directory of the run.
        data (ImageData): the images that are given now.
        copied_from (Path | None): run whose supernet was just copied here; None if none was.
        own (bool): whether a function of the user's own returned them.

    Raises:
        UserError: they are others.
    """
    stored = directory.start_facts()
    if stored and stored.fingerprint != data.fingerprint:
        same = " (a Dataset has to give the same images at every call)" if own else ""
        run = directory if copied_from is None else RunDirectory(copied_from)
        other = "leave --reuse out" if copied_from else "give another --out"
        raise UserError(
            f"the images of {data.source} are not those that {run.path} was started with, see "
            f"{run.data_path}: restore them{same}, or {other}"
        )


def check_same_task(directory: RunDirectory, task: TaskFacts) -> None:
    """Check that the task is the one that the run was started with.

    The loss is fixed from the first step on, the metric once a network was chosen or tested by
    it.

    Args:
        directory (RunDirectory): directory of the run.
        task (TaskFacts): the task that is given now.

    Raises:
        UserError: the loss or the metric is another one.
    """
    stored = directory.start_facts()
    judged = any(map(directory.is_finished, ("search", "retrain")))
    names = {"loss": ("trained with", "loss"), "fitness": ("evaluated by", "metric")}
    for part, (used, name) in names.items():
        there = getattr(stored.task if stored else task, part)
        here = getattr(task, part)
        if there != here and (judged or part == "loss"):
            raise UserError(
                f"{directory.path} was {used} {there}, not {here}: give the same {name}, "
                "or another --out"
            )
