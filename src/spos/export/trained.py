"""The trained network of a run, with the facts that the run has about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from spos._util.errors import UserError, nearest
from spos._util.listener import Silent
from spos._util.modes import usual_modes
from spos.data import ImageData, Images, StreamedImages
from spos.data.photograph import resized_side
from spos.export.metadata import Metadata
from spos.report.result import Result, read_result
from spos.run.context import Context
from spos.run.directory import RunDirectory
from spos.run.network import build_run_network
from spos.run.outcome import RetrainOutcome
from spos.run.task import DEFAULT_TASK_FACTS, Task, TaskFacts
from spos.training.checkpoint import load_model

RETRAIN = "retrain"
"""Stage that trains the network that a run is about."""


@dataclass(frozen=True)
class Trained:
    """A trained network of a run.

    Args:
        stage (str): its training, ``"retrain"`` or ``"compare-N"``.
        network (nn.Module): in evaluation mode on the CPU; reads normalised images.
        data (ImageData): images of the run.
        test (Images): test images.
        context (Context): context of the run.
        outcome (RetrainOutcome): outcome of the training.
        task (TaskFacts): facts of the task.
        result (Result | None): what came of the run; None if ``result.json`` is missing.
    """

    stage: str
    network: nn.Module
    data: ImageData
    test: Images
    context: Context
    outcome: RetrainOutcome
    task: TaskFacts
    result: Result | None

    @property
    def metadata(self) -> Metadata:
        """What a file of the network says of itself."""
        data = self.data
        streamed = isinstance(self.test, StreamedImages)
        side = resized_side(data.image_size)
        return Metadata(
            architecture=self.outcome.architecture,
            space=self.context.config.space,
            channels=data.channels,
            image_size=data.image_size,
            resized_side=side,
            # What the test images of the run were decoded for.
            decoded_side=side if streamed else data.image_size,
            mean=tuple(data.mean),
            std=tuple(data.std),
            classes=tuple(data.classes),
            outputs=data.outputs,
            metric=self.task.metric,
            loss=self.task.loss,
        )


def check_run(path: Path) -> None:
    """Check that a folder is a run directory.

    Raises:
        UserError: the folder is not a run directory.
    """
    if not RunDirectory(path).config_path.is_file():
        raise UserError(f"{path} is not a run directory: it has no config.yaml")


@usual_modes()
def load_trained(
    path: Path,
    stage: str = RETRAIN,
    *,
    load: Callable[[], ImageData] | None = None,
    task: Task | None = None,
) -> Trained:
    """Read a trained network of a run; nothing is written.

    Args:
        path (Path): run directory.
        stage (str): its training, ``"retrain"`` or ``"compare-N"``.
        load (Callable | None): returns the images of a run on your own
            (:func:`spos.data.dataset_data`).
        task (Task | None): task of a run whose targets are values.

    Raises:
        UserError: the run or the network does not exist, its files are damaged, or its images are
            missing.
    """
    check_run(path)
    directory = RunDirectory(path)
    outcome = _outcome(directory, stage)
    config, frozen = directory.resolve_config({}, ())
    if config.data.source == "dataset" and load is None:
        raise UserError(
            f"{path} was trained on a Dataset of your own: export it in Python, with "
            "spos.export.export_run(..., load=...)"
        )
    # Files are made for any machine: the network is read, compared and measured on the CPU.
    task = task or Task()
    context = Context(config, frozen, directory, Silent(), accelerator="cpu", load=load, task=task)
    data = context.data
    network, _ = build_run_network(context, outcome.architecture)
    checkpoints = directory.path / stage
    loaded = directory.checkpoints(stage).load()
    steps = outcome.steps
    if loaded is None or loaded.step < steps:
        there = 0 if loaded is None else loaded.step
        damaged = f" ({'; '.join(loaded.damaged)})" if loaded and loaded.damaged else ""
        raise UserError(
            f"{checkpoints} has no trained network any more: {there} of {steps} steps are left"
            f"{damaged}; restore it, or delete {directory.stage_path(stage)} to train the rest "
            "again"
        )
    load_model(network, loaded.tensors)
    facts = directory.start_facts()
    return Trained(
        stage=stage,
        network=network.eval(),
        data=data,
        test=data.test(),
        context=context,
        outcome=outcome,
        task=facts.task if facts else DEFAULT_TASK_FACTS,
        result=read_result(directory.result_path) if directory.result_path.exists() else None,
    )


def _outcome(directory: RunDirectory, stage: str) -> RetrainOutcome:
    known = [RETRAIN, *sorted(path.stem for path in directory.path.glob("compare-*.json"))]
    if stage not in known:
        raise UserError(f"--stage {stage}: {nearest(stage, known)}")
    outcome = directory.outcome(RetrainOutcome, stage)
    if outcome is None:
        raise UserError(
            f"{directory.path} has no retrained network: run spos retrain --out "
            f"{directory.path} first"
        )
    return outcome
