"""The loss that networks are trained with, the metric and the fitness that compare them."""

from __future__ import annotations

import math
import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spos._util.errors import UserError
from spos._util.identity import identity
from spos.report.measure import Measure, percent
from spos.search.racing import Each
from spos.search.recalibration import Loader
from spos.search.score import Evaluate, Metric, are_correct, correct, number, score
from spos.training.method import Loss

#: The metric of classification.
TOP1 = "top-1"
#: Scores that need no training, by name, and what they are called.
ADDED = {"depth": "depth", "naswot": "NASWOT", "patterns": "patterns"}


@dataclass(frozen=True)
class TaskFacts:
    """What a run stores about its task: equal texts mean equal scores, and equal losses."""

    metric: str
    share: bool
    fitness: str
    loss: str


@dataclass(frozen=True)
class Task:
    """Loss of the trainings and fitness of the search; by default classification.

    On several devices every function must be picklable: define it at the top level of a module; a
    lambda is not.

    Args:
        name (str): name of the metric in the report, such as ``"mean average precision"``.
        loss (Callable | None): from a network's output and the targets to a scalar to minimise, the
            mean over the batch; None for cross-entropy with the recipe's label smoothing.
        metric (Callable | None): from a network's output and the targets to the sum of a score over
            the batch. Higher is better: negate an error. None for top-1 accuracy.
        evaluate (Callable | None): instead of a metric, from a network and its batches of inputs
            and targets to its score, where that is not a sum over images. The network is in
            evaluation mode on its device; batches can be iterated over several times.
        share (bool): whether the score is a share in [0, 1], shown in percent.

    Raises:
        UserError: a part is not callable, the metric has no name, or both a metric and an evaluate
            function are given.

    Example:
        >>> import torch
        >>> def negative_error(outputs, targets):
        ...     return -(outputs - targets).abs().sum()
        >>> task = Task("negative error", loss=nn.functional.l1_loss, metric=negative_error)
        >>> batches = lambda: [(torch.ones(2, 1), torch.tensor([[1.0], [2.0]]))]
        >>> task.score(nn.Identity(), batches)
        -0.5
    """

    name: str = ""
    loss: Loss | None = None
    metric: Metric | None = None
    evaluate: Evaluate | None = None
    share: bool = False

    def __post_init__(self) -> None:
        for part in ("loss", "metric", "evaluate"):
            given = getattr(self, part)
            if isinstance(given, type):
                raise UserError(
                    f"the {part} of the task is the class {given.__name__}: give an instance of "
                    f"it, {given.__name__}()"
                )
            if given is not None and not callable(given):
                raise UserError(f"the {part} of the task is {given!r:.50}: must be a function")
        if self.metric is not None and self.evaluate is not None:
            raise UserError("the task has both a metric and an evaluate function: give one of them")
        if not self.measures_top1:
            if self.name in ("", TOP1):
                raise UserError("a custom metric needs a name: Task('mean error', ...)")
            return
        if self.name not in ("", TOP1):
            raise UserError(
                f"the task '{self.name}' has neither a metric nor an evaluate function: give one "
                "of them"
            )
        object.__setattr__(self, "name", TOP1)
        object.__setattr__(self, "share", True)

    @property
    def measures_top1(self) -> bool:
        """Whether the score is the share of images classified correctly."""
        return self.metric is None and self.evaluate is None

    def score(self, network: nn.Module, loader: Loader) -> float:
        """The score of a network.

        Args:
            network (nn.Module): on its device; left in evaluation mode.
            loader (Loader): returns batches of images and targets.

        Raises:
            UserError: the score is not finite.
        """
        value = score(network, loader, self.metric or correct, self.evaluate)
        if not math.isfinite(value):
            raise UserError(f"the {self.name} is {value}: a score must be finite")
        return value

    def show(self, value: float) -> str:
        """A score as text, in percent if it is a share.

        Args:
            value (float): the score.

        Example:
            >>> Task().show(0.9531), Task("error", metric=min).show(-0.01234567)
            ('95.3%', '-0.01235')
        """
        return percent(value) if self.share else f"{value:.4g}"

    def check(self, classes: bool, source: str) -> None:
        """Check that the task suits the targets.

        Args:
            classes (bool): whether the targets are classes.
            source (str): name of the data in an error.

        Raises:
            UserError: the targets are values, but the loss or the metric is for classes.
        """
        lacking = ["loss"] if self.loss is None else []
        lacking += ["metric"] if self.measures_top1 else []
        if lacking and not classes:
            raise UserError(
                f"the targets of the {source} are values, not classes: give run() a task with a "
                f"custom {' and '.join(lacking)}, such as task=spos.Task('mean error', loss=..., "
                "metric=...)"
            )

    @property
    def fitness(self) -> str:
        """What determines the score of a network, as text: equal texts mean equal scores."""
        own = self.evaluate if self.metric is None else self.metric
        return TOP1 if own is None else f"{self.name}: {identity(own)}"

    def facts(self) -> TaskFacts:
        """What a run stores about its task."""
        loss = "cross-entropy" if self.loss is None else identity(self.loss)
        return TaskFacts(self.name, self.share, self.fitness, loss)


#: Facts of runs that were made when classification was the only task.
DEFAULT_TASK_FACTS = Task().facts()


@dataclass(frozen=True)
class Fitness:
    """The score by which a search compares candidates; higher is better.

    Args:
        measure (Measure): name of the score, and how it is written.
        identity (str): what determines the score, as text: equal texts mean equal scores.
        metric (Metric): function of outputs and targets to the sum of the score over the batch.
        evaluate (Evaluate | None): function of a network and its batches to its score, in place of
            the metric.
        added (Mapping[str, float]): weights of scores that need no training beside that of the
            outputs, by the names in :data:`ADDED`.
        each (Each | None): function of outputs and targets to the score of each image; None where
            a function of the user's own gives one number for a batch.
        by_metric (bool): whether the score is the metric of the task.
    """

    measure: Measure
    identity: str
    metric: Metric = correct
    evaluate: Evaluate | None = None
    added: Mapping[str, float] = field(default_factory=dict)
    each: Each | None = None
    by_metric: bool = False


def make_fitness(task: Task, setting: str, added: Mapping[str, float] | None = None) -> Fitness:
    """Make the fitness of a search.

    Args:
        task (Task): loss and metric of the run.
        setting (str): ``loss``, ``metric``, ``zscore``, or ``auto`` for the loss in classification
            and the metric of a task of its own.
        added (Mapping[str, float] | None): weights of scores that need no training, at least 0, by
            the names in :data:`ADDED`.

    Raises:
        UserError: the fitness is the loss, but the task is judged by an evaluate function, or it is
            for classes, but the task has a metric of its own.

    Example:
        >>> make_fitness(Task(), "auto").measure.show(-0.51234)
        '0.512'
        >>> make_fitness(Task(), "metric").measure.show(0.51234)
        '51.2%'
        >>> make_fitness(Task(), "loss", {"naswot": 0.5}).measure.name
        'loss with NASWOT'
    """
    added = {name: weight for name, weight in (added or {}).items() if weight}
    if added:
        alone = make_fitness(task, setting)
        names = " and ".join(ADDED[name] for name in added)
        weights = (f"{ADDED[name]} of weight {weight}" for name, weight in added.items())
        return replace(
            alone,
            measure=replace(alone.measure, name=f"{alone.measure.name} with {names}"),
            identity=f"{alone.identity} with {' and '.join(weights)}",
            added=added,
        )
    if setting == "metric" or (setting == "auto" and not task.measures_top1):
        measure = Measure(task.name, task.share)
        each = are_correct if task.measures_top1 else None
        return Fitness(
            measure, task.fitness, task.metric or correct, task.evaluate, each=each, by_metric=True
        )
    if setting == "zscore":
        if not task.measures_top1:
            raise UserError(
                f"search.fitness zscore: of classes, but the task is judged by its {task.name}; "
                "allowed are metric and loss"
            )
        each = zscores
        return Fitness(Measure("z-score", share=False), "z-score", _sum_zscores, each=each)
    if task.evaluate is not None:
        raise UserError(
            "search.fitness loss: a task with an evaluate function has batches of its own; allowed "
            "with it is metric"
        )

    def negative_loss(outputs: Tensor, targets: Tensor) -> float | Tensor:
        if task.loss is None:
            return -F.cross_entropy(outputs.float(), targets, reduction="sum")
        value = task.loss(outputs, targets)
        return -number(value, "loss", "the mean over the batch") * len(targets)

    measure = Measure("loss", share=False, negated=True)
    each = _each_negative_loss if task.loss is None else None
    return Fitness(measure, f"negative {task.facts().loss}", negative_loss, each=each)


def _each_negative_loss(outputs: Tensor, targets: Tensor) -> Tensor:
    return -F.cross_entropy(outputs.float(), targets, reduction="none")


def zscores(outputs: Tensor, targets: Tensor) -> Tensor:
    """Standardise the output for the class of each image, over the outputs for the image.

    Unlike the loss, it does not depend on the scale of the outputs, which the weights of a supernet
    give to some networks and not to others. With two classes it tells no more than the accuracy.

    Args:
        outputs (Tensor): scores of the classes, shape (batch, classes).
        targets (Tensor): classes, shape (batch,).

    Returns:
        Standard deviations above the mean, shape (batch,); 0 where all outputs are equal.

    Example:
        >>> import torch
        >>> zscores(torch.tensor([[1.0, 1.0, 4.0], [2.0, 2.0, 2.0]]), torch.tensor([2, 0]))
        tensor([1.4142, 0.0000])
    """
    centred = outputs.float() - outputs.float().mean(1, keepdim=True)
    deviation = centred.square().mean(1).sqrt()
    own = centred.gather(1, targets[:, None])[:, 0]
    return own / deviation.clamp_min(torch.finfo(torch.float32).tiny)


def _sum_zscores(outputs: Tensor, targets: Tensor) -> Tensor:
    return zscores(outputs, targets).sum()


def check_picklable(task: Task, load: Any, **others: Any) -> None:
    """Check that functions can be sent to other processes.

    Raises:
        UserError: one of them cannot be pickled.
    """
    parts = {name: getattr(task, name) for name in ("loss", "metric", "evaluate")}
    for name, value in {**parts, "load": load, **others}.items():
        try:
            pickle.dumps(value)
        except Exception as error:
            raise UserError(
                f"{name} cannot be sent to other processes "
                f"({' '.join(str(error).split())}): define it at the top level of a module"
            ) from error
