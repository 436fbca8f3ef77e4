"""What networks are trained for, and what they are judged by."""

from __future__ import annotations

import math
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from spos._util.errors import UserError
from spos.run.identity import identity
from spos.search.evaluation import Evaluate, Loader, Metric, Passes, correct, number, score
from spos.training.method import Loss

#: The metric of classification.
TOP1 = "top-1"


@dataclass(frozen=True)
class Task:
    """The loss of the trainings and the fitness of the search; classification without any of it.

    For several devices every function has to survive pickling: one at the top level of a module
    does, a lambda does not.

    Args:
        name: of the metric, as the report calls it, such as "mean average precision".
        loss: from a network's output and the targets to the scalar to be minimised, a mean over the
            batch; cross-entropy with the label smoothing of the recipe without it.
        metric: from a network's output and the targets to the sum of a score over the batch; higher
            is better, so an error is given with a minus sign. Top-1 accuracy without it.
        evaluate: from a network and its batches of inputs and targets to its score, where that is
            no sum over images. The network is in evaluation mode and on its device, the batches
            can be gone through several times. In place of a metric.
        share: whether the score is a share in [0, 1], to be written in percent.

    Raises:
        UserError: a part is no function, a metric has no name, or there are two.

    Example:
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
                raise UserError(f"the {part} of the task is {given!r:.50}: give a function")
        if self.metric is not None and self.evaluate is not None:
            raise UserError("the task has a metric and an evaluate function: give one of them")
        if not self.measures_top1:
            if self.name in ("", TOP1):
                raise UserError("a metric of one's own needs a name: Task('mean error', ...)")
            return
        if self.name not in ("", TOP1):
            raise UserError(
                f"the task '{self.name}' has nothing to measure that by: give a metric, or an "
                "evaluate function"
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
            network: on its device; in evaluation mode afterwards.
            loader: the images and targets.

        Raises:
            UserError: the score is no finite number.
        """
        if self.evaluate is None:
            value = score(network, loader, correct if self.metric is None else self.metric)
        else:
            network.eval()
            with torch.no_grad():
                given = self.evaluate(network, Passes(loader))
            value = number(given, "evaluate function", "the score of the network")
        if not math.isfinite(value):
            raise UserError(f"the {self.name} is {value}: a score has to be a finite number")
        return value

    def show(self, value: float) -> str:
        """A score as people read it.

        Example:
            >>> Task().show(0.9531), Task("error", metric=min).show(-0.01234567)
            ('95.3%', '-0.01235')
        """
        return f"{value:.1%}" if self.share else f"{value:.4g}"

    def check(self, classes: bool, source: str) -> None:
        """Refuse targets that are no classes where only classes will do.

        Args:
            classes: whether the targets are classes.
            source: of the data, for the error.

        Raises:
            UserError: the loss or the metric is that of classification, the targets are values.
        """
        lacking = ["loss"] if self.loss is None else []
        lacking += ["metric"] if self.measures_top1 else []
        if lacking and not classes:
            raise UserError(
                f"the targets of the {source} are values, not classes: give run() a task of its "
                f"own {' and '.join(lacking)}, such as task=spos.Task('mean error', loss=..., "
                "metric=...)"
            )

    @property
    def fitness(self) -> str:
        """What decides the score of a network, as text; the same text, the same scores."""
        own = self.evaluate if self.metric is None else self.metric
        return TOP1 if own is None else f"{self.name}: {identity(own)}"

    def facts(self) -> dict[str, Any]:
        """What is written down of the task with a run."""
        return {
            "metric": self.name,
            "share": self.share,
            "fitness": self.fitness,
            "loss": "cross-entropy" if self.loss is None else identity(self.loss),
        }


#: The facts of a run that began before there was anything but classification.
DEFAULT = Task().facts()


def check_same(
    stored: Mapping[str, Any], facts: Mapping[str, Any], judged: bool, path: str
) -> None:
    """Refuse a task that a run did not begin with.

    The loss belongs to a run from its first step, the metric once a network was found by it.

    Args:
        stored: the facts of the task that it began with.
        facts: those of the task now.
        judged: whether the search, or a training of its own, is finished.
        path: of the run.

    Raises:
        UserError: it is another one.
    """
    for part, did in (("loss", "trains"), ("fitness", "judged")):
        there, here = stored[part], facts[part]
        if there != here and (judged or part == "loss"):
            raise UserError(
                f"{path} {did} by {there}, not by {here}: give the same {part}, or another --out"
            )


def check_sendable(task: Task, load: Any, **others: Any) -> None:
    """Refuse what other processes cannot be sent.

    Args:
        task: of the run.
        load: the function that loads the images.
        others: what else is sent, by name.

    Raises:
        UserError: a function of the task, or another part, cannot be pickled.
    """
    parts = {name: getattr(task, name) for name in ("loss", "metric", "evaluate")}
    for name, value in {**parts, "load": load, **others}.items():
        try:
            pickle.dumps(value)
        except Exception as error:
            raise UserError(
                f"{name} cannot be sent to the processes of other devices "
                f"({' '.join(str(error).split())}): define it at the top level of a module"
            ) from error
