"""The training loop of supernets and plain networks."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from torch import Tensor, nn

from spos._util.errors import UserError
from spos._util.interrupt import deferred_interrupt
from spos._util.randomness import seed_generators, torch_seed
from spos.training.backward import fast_backward
from spos.training.between import any_process, average_gradients, seed_of_paths
from spos.training.checkpoint import Checkpoints, Loaded
from spos.training.method import Batches, Loss, MakeMethod, Method, Pass, make_method
from spos.training.optimizer import make_optimizer
from spos.training.progress import Progress, Window
from spos.training.recipe import Recipe, SupernetRecipe
from spos.training.state import TrainingState
from spos.training.teacher import Teacher

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
    own_paths = isinstance(recipe, SupernetRecipe) and not recipe.same_paths
    paths_seed = seed_of_paths(seed, fabric.global_rank if own_paths else 0)
    chosen = make_method(method, model, loss, recipe, paths_seed)
    if isinstance(teacher, nn.Module):
        teacher = Teacher(teacher)
    taught = None if teacher is None else teacher.identity()
    state = TrainingState(fabric, model, make_optimizer(model, recipe), chosen, recipe, taught)
    end = recipe.steps if until is None else min(until, recipe.steps)
    loaded = state.resume(checkpoints, end)
    if loaded and observer and fabric.is_global_zero:
        observer.resumed(loaded)
    if state.step == end:
        state.pause()
        return TrainingEnd(state.step, state.seconds, interrupted=False)
    update = _Update(state, teacher, seed, own_paths=own_paths)
    window = Window(state.step, top1, chosen.passes, fabric.world_size)
    shares = report_interval(recipe.steps)
    began = saved = reported = time.monotonic()

    def spent() -> float:
        return state.seconds + time.monotonic() - began

    with fast_backward(model, fabric.device), deferred_interrupt() as interrupt:
        for inputs, targets in batches(state.step):
            update(inputs, targets, window)
            state.end_step()
            now = time.monotonic()
            last = state.step == end
            asked = any_process(fabric, interrupt.requested)
            stop = asked and not last
            save_now = last or stop or now - saved >= save_every
            due = state.step % shares == 0 or now - reported >= report_every
            if save_now or due:
                # Raises on a non-finite loss, which must not reach a checkpoint.
                progress = window.close(state.step, recipe, spent())
                if observer and fabric.is_global_zero:
                    observer.progressed(progress)
                # After the observer, whose time is none of the training.
                window = Window(state.step, top1, chosen.passes, fabric.world_size)
                reported = now
            if save_now:
                state.save(checkpoints, spent())
                saved = now
            if last or stop:
                break
        else:
            raise UserError(
                f"the batches ended after step {state.step} of {recipe.steps}: provide one batch "
                "per step"
            )
    if last and (asked or interrupt.requested):
        # All steps are saved; who asked does not want what comes after them.
        raise KeyboardInterrupt
    if last:
        state.pause()
    return TrainingEnd(state.step, spent(), interrupted=state.step < end)


class _Update:
    """One update of the weights by a batch.

    Args:
        state (TrainingState): state of the training; its step is counted elsewhere.
        teacher (Teacher | None): trained network to learn from besides the targets.
        seed (int): seed of dropout.
        own_paths (bool): whether each process trains paths of its own.
    """

    def __init__(
        self, state: TrainingState, teacher: Teacher | None, seed: int, *, own_paths: bool
    ) -> None:
        self._state, self._teacher, self._seed, self._own_paths = state, teacher, seed, own_paths
        self._optimizer: Any = state.fabric.setup_optimizers(state.optimizer)
        if teacher is not None:
            teacher.network.to(state.fabric.device).eval()

    def __call__(self, inputs: Tensor, targets: Tensor, window: Window) -> None:
        state, fabric, recipe = self._state, self._state.fabric, self._state.recipe
        own_seed = torch_seed(self._seed, "step", state.step, fabric.global_rank)
        seed_generators(own_seed, fabric.device)
        for group in state.optimizer.param_groups:
            group["lr"] = recipe.rate(state.step)
        self._optimizer.zero_grad(set_to_none=True)
        passes = forward_passes(fabric, state.method, self._teacher, state.step, inputs, targets)
        for one in passes:
            fabric.backward(one.loss / state.method.passes)
            window.add(one.loss.detach(), one.outputs, targets)
        average_gradients(fabric, state.model, self._own_paths)
        if recipe.gradient_clip:
            # Fabric's function instead of torch's, because it first unscales the gradients of half
            # precision.
            fabric.clip_gradients(
                state.model,
                self._optimizer,
                max_norm=recipe.gradient_clip,
                error_if_nonfinite=False,
            )
        self._optimizer.step()


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
    losses: Any = method.losses(step, inputs, targets)
    if not isinstance(losses, Iterable) or isinstance(losses, Pass):
        raise _no_pass(method, "returned", losses)
    passes, count = iter(losses), 0
    while True:
        with fabric.autocast():
            one = next(passes, None)
            if one is None:
                break
            if not isinstance(one, Pass):
                raise _no_pass(method, "yielded", one)
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


def _no_pass(method: Method, did: str, what: object) -> UserError:
    return UserError(
        f"{type(method).__name__}.losses {did} a {type(what).__name__}: it must yield "
        "self.forward(inputs, targets), or spos.training.Pass(loss, outputs), for each loss"
    )


def _check_scalar(value: Any) -> None:
    if not isinstance(value, Tensor) or value.dim():
        given = f"shape {list(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        raise UserError(
            f"the loss returned a value of {given}: it must return a scalar tensor, the mean over "
            "the batch"
        )
    if not value.requires_grad:
        raise UserError(
            "the loss depends on no weight that is trained: let weights require gradients, and "
            "detach nothing between them and the loss"
        )
