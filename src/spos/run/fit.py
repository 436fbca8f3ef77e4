"""The trainings of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import nn

from spos.data import Images
from spos.run.context import Context
from spos.run.initial import begin
from spos.run.network import build_run_network, loader, training_loader
from spos.run.outcome import RetrainOutcome
from spos.run.recorder import PeakMemory, Recorder
from spos.run.side_by_side import ThisProcess
from spos.run.testing import record_test
from spos.run.validation import Validation
from spos.training.loop import train
from spos.training.memory import check_memory, supports_channels_last
from spos.training.method import MakeMethod, make_method, method_class
from spos.training.recipe import Recipe
from spos.training.teacher import Teacher

#: Function of the context and of the text of a network to the network, its costs by name, and the
#: weights that its training begins from; defined at the top level of a module.
Build: TypeAlias = Callable[[Context, str], tuple[nn.Module, dict[str, int], str]]


def fit(
    context: Context,
    model: nn.Module,
    recipe: Recipe,
    images: Images,
    stage: str,
    *,
    method: MakeMethod | None = None,
    teacher: Teacher | None = None,
    until: int | None = None,
    seed: int | None = None,
    label: str | None = None,
    validation: Validation | None = None,
) -> float:
    """Train a model with checkpoints in a folder of the run.

    Args:
        context (Context): the run.
        model (nn.Module): supernet or plain network, trained in place.
        recipe (Recipe): optimisation settings.
        images (Images): images to train on.
        stage (str): name of the stage of the run in the metrics, and of the folder of its
            checkpoints, which is ``supernet`` for the stage ``train``.
        method (MakeMethod | None): training method; None for a plain network.
        teacher (Teacher | None): trained network for distillation.
        until (int | None): step to pause after; None for the last step of the recipe.
        seed (int | None): seed of the batches and of dropout; None for the seed of the run.
        label (str | None): name of the training in progress reports; None for the stage.
        validation (Validation | None): what scores the model at some steps.

    Returns:
        Wall time of the training in seconds, interrupted attempts included.

    Raises:
        UserError: the device has too little memory, or the settings do not suit the model.
        KeyboardInterrupt: the training was interrupted; its state is saved.
    """
    fabric, data = context.fabric, context.data
    check_memory(
        model,
        (data.channels, data.image_size, data.image_size),
        recipe.batch_size // fabric.world_size,
        fabric.device,
        options=getattr(method_class(method), "memory_options", 1) if method else 1,
        copies=3 + bool(recipe.ema) + bool(validation),
    )
    seed = context.config.run.seed if seed is None else seed
    wanted = context.config.run.channels_last
    channels_last = wanted and supports_channels_last(model, fabric.device)
    if channels_last:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    elif wanted:
        # With the weights of a supernet it comes in that format.
        model.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        context.listener.message(
            f"{label or stage}: run.channels_last is off for this training, because on the CPU "
            "torch's strided 1x1 convolutions of few channels corrupt memory in that format"
        )
    batches = training_loader(context, images, recipe, seed, channels_last)
    batches(recipe.steps)  # Raises if the batch size does not suit the images or the processes.
    loss = context.task.loss or nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing)
    make_method(method, model, loss, recipe, seed)  # Raises if it does not suit the model.
    context.freeze()
    memory = PeakMemory(fabric.device)
    measure = None if validation is None else validation.measure
    observer = Recorder(context.directory, stage, context.listener, memory, label, measure)
    outcome = train(
        fabric,
        model,
        batches,
        recipe,
        context.directory.checkpoints("supernet" if stage == "train" else stage),
        seed=seed,
        loss=loss,
        top1=context.task.measures_top1,
        method=method,
        teacher=teacher,
        observer=observer,
        until=until,
        save_every=context.config.run.save_every,
    )
    if outcome.interrupted:
        raise KeyboardInterrupt
    return outcome.seconds


def build_own(context: Context, text: str) -> tuple[nn.Module, dict[str, int], str]:
    """Build a network of the space or of the zoo, with the weights that the run sets."""
    weights = context.config.network.weights
    return *build_run_network(context, text, weights=weights), weights


def retrain_all(
    context: Context, networks: Mapping[str, str], label: str, build: Build = build_own
) -> dict[str, RetrainOutcome]:
    """Train networks on the training images and test each once, unless that is done.

    The validation images are among them, unless they are held out.

    Args:
        context (Context): the run.
        networks (Mapping): architecture of the space, or name of a published network, by the name
            of the stage of the run.
        label (str): name of the trainings in progress reports, if several run at the same time.
        build (Build): function that builds a network.
    """
    known = {stage: context.directory.outcome(RetrainOutcome, stage) for stage in networks}
    outcomes = {stage: outcome for stage, outcome in known.items() if outcome is not None}
    items = {
        stage: (text, stage, build) for stage, text in networks.items() if stage not in outcomes
    }
    several = len(networks) > 1
    for stage, outcome in train_side_by_side(context, _retrain, items, label, several=several):
        outcomes[stage] = context.directory.finish(outcome, stage)
    return {stage: outcomes[stage] for stage in networks}


class _Training(NamedTuple):
    """A function of a context and of arguments, and the folder of the run for what it saves."""

    train: Callable[..., Any]
    arguments: tuple[Any, ...]
    folder: str


def train_side_by_side(
    context: Context,
    training: Callable[..., Any],
    items: Mapping[str, tuple[Any, ...]],
    label: str,
    *,
    several: bool,
) -> Iterator[tuple[str, Any]]:
    """Carry out trainings: at the same time, unless each takes several devices.

    Args:
        context (Context): the run.
        training (Callable): function of the context and of further arguments, defined at the top
            level of a module.
        items (Mapping): these arguments, by the name of the stage of the run.
        label (str): name of the trainings in progress reports, if several run at the same time.
        several (bool): whether they are several, with those that are done: one that is left after
            an interruption is trained where all would be, with as many threads.

    Returns:
        The name of a stage and the result of its training, as they end.
    """
    shared = several and bool(items) and context.devices == 1 and context.workers.count > 1
    workers = context.workers if shared else ThisProcess()
    if shared:
        # Before they begin, so that only this process writes it.
        context.freeze()
    stages = list(items)
    work = [_Training(training, items[stage], stage) for stage in stages]
    for number, result in workers.map(context, _launch, work, label):
        yield stages[number], result


def _launch(context: Context, item: _Training) -> Iterator[Any]:
    yield context.launch(item.train, *item.arguments, folder=item.folder)


def is_short(context: Context, stage: str) -> bool:
    """Whether a training is shorter than the retraining, to compare networks in less time."""
    return stage.startswith("compare-") and context.config.network.compare_share < 1


def recipe_of(context: Context, stage: str) -> Recipe:
    """Recipe of a training of a plain network, by the name of its stage."""
    recipe = context.config.retrain
    if not is_short(context, stage):
        return recipe
    share = context.config.network.compare_share
    steps = max(2, round(share * recipe.steps))
    return replace(recipe, steps=steps, warmup_steps=min(recipe.warmup_steps, steps // 20))


def _retrain(context: Context, text: str, stage: str, build: Build) -> RetrainOutcome:
    data, recipe, teacher = context.data, recipe_of(context, stage), context.teacher
    network, costs, weights = build(context, text)
    if build is build_own and weights == "file":
        begin(context, network, "network", stage, stage == RetrainOutcome.stage)
    held_out = context.config.network.hold_out
    images = data.train if held_out else data.train.join(data.validation)
    # The curve of the network found alone is shown.
    validation = Validation(context, network, recipe) if stage == RetrainOutcome.stage else None
    seconds = fit(context, network, recipe, images, stage, teacher=teacher, validation=validation)
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
            result = record_test(context, network, test)
        else:
            result = context.task.score(network, loader(context, test))
    return replace(outcome, test_score=result, test_images=len(test))
