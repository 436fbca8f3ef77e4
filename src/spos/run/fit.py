"""The trainings of a run: of its supernet, and of a network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn

from spos.data import ImageData, Images, training_batches
from spos.run.context import Context
from spos.run.network import build_run_network
from spos.run.one_shot import loader
from spos.run.outcome import RetrainOutcome
from spos.run.peak import PeakMemory
from spos.run.predictions import record_test
from spos.run.recorder import Recorder
from spos.training.checkpoint import Checkpoints
from spos.training.loop import train
from spos.training.memory import check_memory
from spos.training.memory import supports_channels_last
from spos.training.method import MakeMethod, make_method, method_class
from spos.training.recipe import Recipe
from spos.training.teacher import Teacher


def fit(
    context: Context,
    data: ImageData,
    images: Images,
    model: nn.Module,
    stage: str,
    folder: str,
    recipe: Recipe,
    method: MakeMethod | None = None,
    teacher: Teacher | None = None,
    until: int | None = None,
    seed: int | None = None,
    label: str | None = None,
) -> float:
    """Train a model with checkpoints in a folder of the run.

    Args:
        context (Context): the run.
        data (ImageData): images of the run; they determine shape and normalisation.
        images (Images): images to train on.
        model (nn.Module): supernet or plain network, trained in place.
        stage (str): name of the stage of the run in the metrics.
        folder (str): name of the folder of the checkpoints in the run directory.
        recipe (Recipe): optimisation settings.
        method (MakeMethod | None): training method; None for a plain network.
        teacher (Teacher | None): trained network for distillation.
        until (int | None): step to pause after; None for the last step of the recipe.
        seed (int | None): seed of the batches and of dropout; None for the seed of the run.
        label (str | None): name of the training in progress reports; None for the stage.

    Returns:
        Wall time of the training in seconds, interrupted attempts included.

    Raises:
        UserError: the device has too little memory, or the settings do not suit the model.
        KeyboardInterrupt: the training was interrupted; its state is saved.
    """
    fabric = context.fabric
    shape = (data.channels, data.image_size, data.image_size)
    check_memory(
        model,
        shape,
        recipe.batch_size // fabric.world_size,
        fabric.device,
        options=getattr(method_class(method), "memory_options", 1) if method else 1,
        copies=4 if recipe.ema else 3,
    )
    images = images.to(fabric.device)
    seed = context.config.run.seed if seed is None else seed
    channels_last = context.config.run.channels_last
    if channels_last and not supports_channels_last(model, fabric.device):
        channels_last = False
        context.listener.message(
            f"{label or stage}: run.channels_last is off for this training, because on the CPU "
            "torch's strided 1x1 convolutions of few channels corrupt memory in that format"
        )
    if channels_last:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def batches(start: int) -> Iterator[tuple[Tensor, Tensor]]:
        return context.in_memory_format(
            training_batches(
                data,
                images,
                batch_size=recipe.batch_size,
                seed=seed,
                start=start,
                steps=recipe.steps,
                augment=recipe.augment,
                device=fabric.device,
                rank=fabric.global_rank,
                world_size=fabric.world_size,
            ),
            channels_last,
        )

    batches(recipe.steps)  # Raises if the batch size does not suit the images or the processes.
    loss = context.task.loss or nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing)
    make_method(method, model, loss, recipe, seed)  # Raises if it does not suit the model.
    context.freeze()
    outcome = train(
        fabric,
        model,
        batches,
        recipe,
        Checkpoints(context.directory.path / folder),
        seed=seed,
        loss=loss,
        top1=context.task.measures_top1,
        method=method,
        teacher=teacher,
        observer=Recorder(
            context.directory, stage, context.listener, PeakMemory(fabric.device), label
        ),
        until=until,
        save_every=context.config.run.save_every,
    )
    if outcome.interrupted:
        raise KeyboardInterrupt
    return outcome.seconds


def retrain(context: Context, text: str, stage: str) -> RetrainOutcome:
    """Train a network on all training images, then test it once.

    Returns:
        Record of the training, in the first process with the score on the test images.
    """
    data = context.data()
    weights = context.config.network.weights
    network, costs = build_run_network(context, data, text, weights=weights)
    recipe = context.config.retrain
    images = data.train.join(data.validation)
    teacher = context.teacher
    seconds = fit(context, data, images, network, stage, stage, recipe, teacher=teacher)
    outcome = RetrainOutcome(
        architecture=text,
        costs=costs,
        steps=recipe.steps,
        seconds=seconds,
        teacher=None if teacher is None else teacher.identity(),
        weights=weights,
    )
    if not context.fabric.is_global_zero:
        return outcome
    test = data.test()
    with context.fabric.autocast():
        if stage == RetrainOutcome.stage and context.task.measures_top1:
            score = record_test(context, data, network, test)
        else:
            score = context.task.score(network, loader(context, data, test))
    return replace(outcome, test_score=score, test_images=len(test))
