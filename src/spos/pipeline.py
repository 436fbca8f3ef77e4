"""From images to a searched, retrained network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from spos.context import Context
from spos.listener import Listener, Silent
from spos.report import write_report
from spos.result import write_result
from spos.run_directory import RunDirectory
from spos.stages import compare_stage, retrain_stage, search_stage, train_stage

Stage = Callable[[Context], Any]
STAGES: dict[str, tuple[Stage, ...]] = {
    "train": (train_stage,),
    "search": (search_stage,),
    "retrain": (retrain_stage, compare_stage),
}


def run(
    out: Path,
    given: Mapping[str, Any],
    stages: tuple[str, ...] = ("train", "search", "retrain"),
    *,
    listener: Listener | None = None,
    devices: int = 1,
    accelerator: str = "auto",
    reuse: Path | None = None,
) -> dict[str, Any]:
    """Do stages of a run, each from where it stopped; what is done is not done again.

    Args:
        out: the run directory; made where needed.
        given: sections of the configuration (:func:`spos.config.make_config`).
        stages: of ``train``, ``search`` and ``retrain``, in this order.
        listener: told of progress.
        devices: processes, each with one device.
        accelerator: of Lightning Fabric.
        reuse: a run whose trained supernet and evaluations a new run begins with.

    Returns:
        What ``result.json`` holds.

    Raises:
        UserError: a mistake in what was given.
        KeyboardInterrupt: it was asked to stop; the state is saved.
    """
    directory = RunDirectory(out)
    with directory.open():
        if reuse is not None:
            directory.begin_with(RunDirectory(reuse))
        config = directory.settle(given, stages)
        context = Context(
            config, directory, listener or Silent(), devices=devices, accelerator=accelerator
        )
        for name in stages:
            for stage in STAGES[name]:
                stage(context)
        result = write_result(context)
        if result["winner"]:
            found = context.finished("search")
            candidates = found["candidates"] if found else []
            write_report(directory.report_path, result, candidates, directory.metrics())
        return result
