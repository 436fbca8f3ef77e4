"""The training loop of supernets and plain networks."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from spos._util.errors import UserError
from spos._util.interrupt import deferred_interrupt
from spos._util.randomness import torch_seed
from spos.training.average import WeightAverage
from spos.training.checkpoint import Checkpoints, Loaded
from spos.training.method import Batches, Loss, MakeMethod, make_method
from spos.training.optimizer import PathSGD
from spos.training.progress import Progress, Window, divergence_error
from spos.training.recipe import Recipe
from spos.training.state import load_state, state_tensors
from spos.training.step import forward_passes
from spos.training.teacher import Teacher, check_same_teacher

if TYPE_CHECKING:
    from lightning_fabric import Fabric


class Observer(Protocol):
    """Interface of the receiver of progress of a training; any method may do nothing."""

    def resumed(self, loaded: Loaded) -> None: ...
    def progressed(self, progress: Progress) -> None: ...


@dataclass(frozen=True)
class Outcome:
    """The outcome of a training.

    Args:
        step (int): number of finished steps.
        seconds (float): wall time in seconds, interrupted attempts included.
        interrupted (bool): whether the user stopped the training before the last step.
    """

    step: int
    seconds: float
    interrupted: bool


def make_optimizer(model: nn.Module, recipe: Recipe) -> PathSGD:
    """Make the SGD optimiser of the paper, with weight decay on weights only.

    Norms, biases and the learned step sizes of quantisers are not decayed; a learned clipping value
    is, as in its paper.

    Example:
        >>> recipe = Recipe(steps=1, batch_size=1, learning_rate=0.1)
        >>> [g["weight_decay"] for g in make_optimizer(nn.Linear(2, 2), recipe).param_groups]
        [4e-05, 0.0]
    """
    # Dictionaries used as ordered sets: a parameter shared by two modules must be updated once.
    decayed: dict[nn.Parameter, None] = {}
    exempt: dict[nn.Parameter, None] = {}
    for module in model.modules():
        normalises = isinstance(module, (_NormBase, nn.GroupNorm, nn.LayerNorm))
        for name, parameter in module.named_parameters(recurse=False):
            free = normalises or name in ("bias", "step")
            (exempt if free else decayed)[parameter] = None
    return PathSGD(
        [
            {"params": [*decayed], "weight_decay": recipe.weight_decay},
            {"params": [*exempt], "weight_decay": 0.0},
        ],
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        nesterov=recipe.nesterov,
    )


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
) -> Outcome:
    """Train a supernet or a plain network, resuming from its last checkpoint.

    The training method determines what a step trains: by default the method of the recipe, or a
    uniformly drawn path of a supernet, and all weights of a plain network. Weights without a
    gradient are neither updated nor decayed nor moved by momentum. All processes train the same
    paths in a step and average their gradients.

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

    Source: Guo et al., Sections 3.2 and 4 (training details).
    """
    loss = loss or nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing)
    if isinstance(loss, nn.Module):
        loss.to(fabric.device)
    model.to(fabric.device).train()
    optimizer = make_optimizer(model, recipe)
    chosen = make_method(method, model, loss, recipe, seed)
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
        return Outcome(step, seconds, interrupted=False)
    fabric_optimizer: Any = fabric.setup_optimizers(optimizer)
    if teacher is not None:
        teacher.network.to(fabric.device).eval()
    window = Window(step, top1, chosen.passes)
    # Report at least 20 times, so that a short training has a curve, too.
    shares = max(1, recipe.steps // 20)
    began = saved = reported = time.monotonic()

    def save() -> None:
        spent = seconds + time.monotonic() - began
        if fabric.is_global_zero:
            tensors = {**state_tensors(model, optimizer), **chosen.tensors()}
            if average is not None:
                tensors.update(average.tensors())
            for name, tensor in tensors.items():
                if tensor.is_floating_point() and not tensor.isfinite().all():
                    raise divergence_error(f"non-finite weights ({name})", step, recipe)
            precision = fabric.strategy.precision.state_dict()
            facts = {"seconds": spent, "precision": precision, "teacher": taught}
            checkpoints.save(step, tensors, facts)

    def report() -> None:
        spent = seconds + time.monotonic() - began
        progress = window.close(step, recipe, spent)
        if observer and fabric.is_global_zero:
            observer.progressed(progress)

    with deferred_interrupt() as interrupt:
        for inputs, targets in batches(step):
            torch.manual_seed(torch_seed(seed, "step", step, fabric.global_rank))
            for group in optimizer.param_groups:
                group["lr"] = recipe.rate(step)
            fabric_optimizer.zero_grad(set_to_none=True)
            for one in forward_passes(fabric, chosen, teacher, step, inputs, targets):
                fabric.backward(one.loss / chosen.passes)
                window.add(one.loss.detach(), one.outputs, targets)
            _average_gradients(fabric, model)
            if recipe.gradient_clip:
                # Fabric's function instead of torch's, because it first unscales the gradients of
                # half precision.
                fabric.clip_gradients(
                    model,
                    fabric_optimizer,
                    max_norm=recipe.gradient_clip,
                    error_if_nonfinite=False,
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
            stop = _any_process(fabric, interrupt.requested) and not last
            save_now = last or stop or now - saved >= save_every
            due = step % shares == 0 or now - reported >= report_every
            if save_now or due:
                # The report raises on a non-finite loss, which must not reach a checkpoint.
                report()
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
    if average is not None and step == end < recipe.steps:
        average.apply()
    interrupted = step < end
    return Outcome(step, seconds + time.monotonic() - began, interrupted)


def _any_process(fabric: Fabric, stop: bool) -> bool:
    if fabric.world_size == 1:
        return stop
    return bool(cast(Tensor, fabric.all_reduce(torch.tensor(float(stop)), reduce_op="sum")) > 0)


def _average_gradients(fabric: Fabric, model: nn.Module) -> None:
    # DistributedDataParallel would exchange the gradients of all options; only those on the path,
    # which is the same in all processes, have any.
    if fabric.world_size == 1:
        return
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    flat = cast(Tensor, fabric.all_reduce(flat, reduce_op="mean"))
    offset = 0
    for gradient in gradients:
        gradient.copy_(flat[offset : offset + gradient.numel()].view_as(gradient))
        offset += gradient.numel()
