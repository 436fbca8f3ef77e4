"""The forward passes of one step, in the precision of the training."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lightning_fabric import Fabric
from torch import Tensor

from spos._util.errors import UserError
from spos.training.method import Method, Pass
from spos.training.teacher import Teacher


def passes_of(
    fabric: Fabric,
    method: Method,
    teacher: Teacher | None,
    step: int,
    inputs: Tensor,
    targets: Tensor,
) -> Iterator[Pass]:
    """The passes of a step, each with the teacher's part in its loss.

    Args:
        fabric (Fabric): devices and precision.
        method (Method): what the step trains.
        teacher (Teacher | None): on its device.
        step (int): counted from 0.
        inputs (Tensor): batch of the step.
        targets (Tensor): of the batch.

    Raises:
        UserError: a loss is no scalar, there are not as many as the method says, or the teacher
            does not fit.
    """
    scores, count = None, 0
    if teacher is not None:
        with fabric.autocast():
            scores = teacher.scores(inputs)
    passes = iter(method.losses(step, inputs, targets))
    while True:
        with fabric.autocast():
            one = next(passes, None)
            if one is None:
                break
            one = Pass(_scalar(one.loss), one.outputs)
            if teacher is not None and scores is not None:
                one = Pass(teacher.teach(one, scores, targets), one.outputs)
        count += 1
        yield one
    if count != method.passes:
        raise UserError(
            f"{type(method).__name__} yielded {count} losses in step {step + 1} and says "
            f"{method.passes}: let its passes be the number of them"
        )


def _scalar(value: Any) -> Tensor:
    if not isinstance(value, Tensor) or value.dim():
        given = f"shape {list(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        raise UserError(
            f"the loss gave a value of {given}: it has to give a scalar tensor, the mean over the "
            "batch"
        )
    return value
