"""The forward passes of one step, in the precision of the training."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from torch import Tensor

from spos._util.errors import UserError
from spos.training.method import Method, Pass
from spos.training.teacher import Teacher

if TYPE_CHECKING:
    from lightning_fabric import Fabric


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
            f"{type(method).__name__} yielded {count} losses in step {step + 1}, its attribute "
            f"passes is {method.passes}: both must be equal"
        )


def _scalar(value: Any) -> Tensor:
    if not isinstance(value, Tensor) or value.dim():
        given = f"shape {list(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        raise UserError(
            f"the loss returned a value of {given}: it must return a scalar tensor, the mean over "
            "the batch"
        )
    return value
