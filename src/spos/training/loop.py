"""The training loop of supernets and plain networks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from torch import Tensor, nn

from spos._util.errors import UserError
from spos._util.interrupt import deferred_interrupt
from spos._util.randomness import seed_generators, torch_seed
from spos.training.backward import fast_backward
from spos.training.between import any_process, average_gradients, seed_of_paths
from spos.training.checkpoint import Checkpoints, Loaded, load_state, state_tensors
from spos.training.method import Batches, Loss, MakeMethod, Method, Pass, make_method
from spos.training.optimizer import WeightAverage, make_optimizer
from spos.training.progress import Progress, Window, divergence_error
from spos.training.recipe import Recipe, SupernetRecipe
from spos.training.teacher import Teacher, check_same_teacher

if TYPE_CHECKING:
    from lightning_fabric import Fabric


class Observer(Protocol):
    """Interface of the receiver of progress of a training; any method may do nothing."""

    def resumed(self, loaded: Loaded) -> None: ...
    def progressed(self, progress: Progress) -> None: ...


@dataclass(frozen=True)
class TrainingEnd:
    """How a training ended.

    Args:
        step (int): number of finished steps.
        seconds (float): wall time in seconds, interrupted attempts included.
        interrupted (bool): whether the user stopped the training before the last step.
    """

    step: int
    seconds: float
    interrupted: bool


def train(
    fabric: Fabric,
    model: nn.Module,
    batches: Batches,
    recipe: Recipe,
    checkpoints: Checkpoints,
    *,
    seed: int,
    loss: Loss | None = None,
    top1: bool = True,
    method: str | MakeMethod | None = None,
    teacher: nn.Module | Teacher | None = None,
    observer: Observer | None = None,
    until: int | None = None,
    save_every: float = 60.0,
    report_every: float = 2.0,
) -> TrainingEnd:
    """Train a supernet or a plain network, resuming from its last checkpoint.

    The training method determines what a step trains: by default the method of the recipe, or a
    uniformly drawn path of a supernet, and all weights of a plain network. Weights without a
    gradient are neither updated nor decayed nor moved by momentum. All processes train the same
    paths in a step, or each its own (:class:`spos.training.SupernetRecipe`), and average their
    gradients.

    Args:
        fabric (Fabric): devices and precision, already launched.
        model (nn.Module): model, trained in place on the device of ``fabric``.
        batches (Batches): function from a step to the batches of this and all later steps.
        recipe (Recipe): optimisation settings.
        checkpoints (Checkpoints): storage of the training state.
        seed (int): seed of the paths and of dropout, at least 0.
        loss (Loss | None): function of outputs and targets to a scalar; None for cross-entropy with
            the recipe's label smoothing.
        top1 (bool): whether to report the share of images classified correctly, if the targets are
            classes.
        method (str | MakeMethod | None): training method instead of the default: a name in
            :data:`spos.training.METHODS`, a class of your own (:class:`spos.training.Method`), or a
            function with the same arguments.
        teacher (nn.Module | Teacher | None): trained network to learn from besides the targets; a
            :class:`spos.training.Teacher` sets its weight.
        observer (Observer | None): receiver of progress in the first process.
        until (int | None): step to pause after, at least 1. The model is left with its averaged
            weights if the recipe averages them, and a later call resumes from the others.
        save_every (float): seconds between checkpoints, at least 0.
        report_every (float): seconds between progress reports, at least 0.

    Returns:
        The outcome; the trained weights are in ``model`` and in the last checkpoint.

    Raises:
        UserError: the loss or a weight became non-finite (the last good state stays on disk), the
            loss is not a scalar, the method or the teacher does not suit the model, or the batches
            ended before the last step.
        LostError: another process of the training ended, or does not answer.

    Source: Guo et al., Sections 3.2 and 4 (training details).

    Example:
        >>> import itertools, pathlib, tempfile, torch
        >>> from lightning_fabric import Fabric
        >>> batch = torch.ones(4, 2), torch.zeros(4, dtype=torch.int64)
        >>> end = train(
        ...     Fabric(accelerator="cpu", devices=1),
        ...     nn.Linear(2, 3),
        ...     lambda step: itertools.repeat(batch),
        ...     Recipe(steps=2, batch_size=4, learning_rate=0.1),
        ...     Checkpoints(pathlib.Path(tempfile.mkdtemp())),
        ...     seed=0,
        ... )
        >>> end.step, end.interrupted
        (2, False)
    """
    loss = loss or nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing)
    if isinstance(loss, nn.Module):
        loss.to(fabric.device)
    model.to(fabric.device).train()
    optimizer = make_optimizer(model, recipe)
    own_paths = isinstance(recipe, SupernetRecipe) and not recipe.same_paths
    paths_seed = seed_of_paths(seed, fabric.global_rank if own_paths else 0)
    chosen = make_method(method, model, loss, recipe, paths_seed)
    average = WeightAverage(model, recipe.ema) if recipe.ema else None
    if isinstance(teacher, nn.Module):
        teacher = Teacher(teacher)
    taught = None if teacher is None else teacher.identity()
    loaded = checkpoints.load()
    step, seconds = 0, 0.0
    if loaded is not None:
        check_same_teacher(loaded.metadata.get("teacher"), taught)
        load_state(model, optimizer, loaded.tensors)
        chosen.load(loaded.tensors)
        if average is not None:
            average.load(loaded.tensors)
        step, seconds = loaded.step, loaded.metadata["seconds"]
        if loaded.metadata.get("precision"):
            fabric.strategy.precision.load_state_dict(loaded.metadata["precision"])
        if observer and fabric.is_global_zero:
            observer.resumed(loaded)
    end = recipe.steps if until is None else min(until, recipe.steps)
    if step >= end:
        if average is not None and step < recipe.steps:
            average.apply()
        return TrainingEnd(step, seconds, interrupted=False)
    fabric_optimizer: Any = fabric.setup_optimizers(optimizer)
    if teacher is not None:
        teacher.network.to(fabric.device).eval()
    window = Window(step, top1, chosen.passes, fabric.world_size)
    shares = report_interval(recipe.steps)
    began = saved = reported = time.monotonic()

    def spent() -> float:
        return seconds + time.monotonic() - began

    def save() -> None:
        if not fabric.is_global_zero:
            return
        tensors = {**state_tensors(model, optimizer), **chosen.tensors()}
        if average is not None:
            tensors.update(average.tensors())
        for name, tensor in tensors.items():
            if tensor.is_floating_point() and not tensor.isfinite().all():
                raise divergence_error(f"non-finite weights ({name})", step, recipe)
        precision = fabric.strategy.precision.state_dict()
        facts = {"seconds": spent(), "precision": precision, "teacher": taught}
        checkpoints.save(step, tensors, facts)

    with fast_backward(model, fabric.device), deferred_interrupt() as interrupt:
        for inputs, targets in batches(step):
            own_seed = torch_seed(seed, "step", step, fabric.global_rank)
            seed_generators(own_seed, fabric.device)
            for group in optimizer.param_groups:
                group["lr"] = recipe.rate(step)
            fabric_optimizer.zero_grad(set_to_none=True)
            for one in forward_passes(fabric, chosen, teacher, step, inputs, targets):
                fabric.backward(one.loss / chosen.passes)
                window.add(one.loss.detach(), one.outputs, targets)
            average_gradients(fabric, model, own_paths)
            if recipe.gradient_clip:
                # Fabric's function instead of torch's, because it first unscales the gradients of
                # half precision.
                most = recipe.gradient_clip
                fabric.clip_gradients(
                    model, fabric_optimizer, max_norm=most, error_if_nonfinite=False
                )
            fabric_optimizer.step()
            chosen.after_step(step)
            step += 1
            now = time.monotonic()
            last = step == end
            if average is not None:
                average.update()
                if step == recipe.steps:
                    average.apply()
            asked = any_process(fabric, interrupt.requested)
            stop = asked and not last
            save_now = last or stop or now - saved >= save_every
            due = step % shares == 0 or now - reported >= report_every
            if save_now or due:
                # Raises on a non-finite loss, which must not reach a checkpoint.
                progress = window.close(step, recipe, spent())
                if observer and fabric.is_global_zero:
                    observer.progressed(progress)
                # After the observer, whose time is none of the training.
                window = Window(step, top1, chosen.passes, fabric.world_size)
                reported = now
            if save_now:
                save()
                saved = now
            if last or stop:
                break
        else:
            raise UserError(
                f"the batches ended after step {step} of {recipe.steps}: provide one batch per step"
            )
    if last and (asked or interrupt.requested):
        # All steps are saved; who asked does not want what comes after them.
        raise KeyboardInterrupt
    if average is not None and step == end < recipe.steps:
        average.apply()
    return TrainingEnd(step, spent(), interrupted=step < end)


def report_interval(steps: int) -> int:
    """Steps between reports of the progress at most; at least 20 give a short training a curve.

    Args:
        steps (int): steps of the training, at least 1.

    Example:
        >>> report_interval(100), report_interval(7)
        (5, 1)
    """
    return max(1, steps // 20)


def forward_passes(
    fabric: Fabric,
    method: Method,
    teacher: Teacher | None,
    step: int,
    inputs: Tensor,
    targets: Tensor,
) -> Iterator[Pass]:
    """Yield the forward passes of a step, with the teacher's term in their losses.

    Raises:
        UserError: a loss is not a scalar, the method yields another number of losses than it
            declares, or the teacher does not suit the task.
    """
    with fabric.autocast():
        scores = None if teacher is None else teacher.scores(inputs)
    passes, count = iter(method.losses(step, inputs, targets)), 0
    while True:
        with fabric.autocast():
            one = next(passes, None)
            if one is None:
                break
            _check_scalar(one.loss)
            if teacher is not None and scores is not None:
                one = Pass(teacher.teach(one, scores, targets), one.outputs)
        count += 1
        yield one
    if count != method.passes:
        raise UserError(
            f"{type(method).__name__} yielded {count} losses in step {step + 1}, its attribute "
            f"passes is {method.passes}: both must be equal"
        )


def _check_scalar(value: Any) -> None:
    if not isinstance(value, Tensor) or value.dim():
        given = f"shape {list(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        raise UserError(
            f"the loss returned a value of {given}: it must return a scalar tensor, the mean over "
            "the batch"
        )
