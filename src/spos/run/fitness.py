"""The fitness of a search: the score of a candidate on the validation images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from torch import Tensor
from torch.nn import functional as F

from spos._util.errors import UserError
from spos.report.measure import Measure
from spos.run.task import Task
from spos.search.evaluation import Evaluate, Metric, correct, number

#: Scores that need no training, by name, and what they are called.
ADDED = {"depth": "depth", "naswot": "NASWOT"}


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
    """

    measure: Measure
    identity: str
    metric: Metric = correct
    evaluate: Evaluate | None = None
    added: Mapping[str, float] = field(default_factory=dict)

    @property
    def is_loss(self) -> bool:
        """Whether the score is the negative loss rather than the metric of the task."""
        return self.measure.negated


def make_fitness(task: Task, setting: str, added: Mapping[str, float] | None = None) -> Fitness:
    """Make the fitness of a search.

    Args:
        task (Task): loss and metric of the run.
        setting (str): ``loss``, ``metric``, or ``auto`` for the loss in classification and the
            metric of a task of its own.
        added (Mapping[str, float] | None): weights of scores that need no training, at least 0, by
            the names in :data:`ADDED`.

    Raises:
        UserError: the fitness is the loss, but the task is judged by an evaluate function.

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
        return Fitness(measure, task.fitness, task.metric or correct, task.evaluate)
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
    return Fitness(measure, f"negative {task.facts()['loss']}", negative_loss)
