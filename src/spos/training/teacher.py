"""Knowledge distillation from a trained network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from spos._util.errors import UserError
from spos._util.settings import Settings
from spos.training.checkpoint import digest
from spos.training.method import Pass


@dataclass(frozen=True)
class Teacher(Settings):
    """A trained classifier whose scores a network learns in addition to the labels.

    The loss becomes ``(1 - weight) * loss + weight * temperature**2 * KL(teacher, network)``, with
    both distributions softened by the temperature.

    Args:
        network (nn.Module): trained classifier; put in evaluation mode, otherwise unchanged.
        weight (float): share of the teacher in the loss, in [0, 1].
        temperature (float): temperature of both softmaxes, above 0.

    Raises:
        UserError: a value is out of its range.

    Source: Hinton et al., "Distilling the Knowledge in a Neural Network", 2015, Section 2.

    Example:
        >>> teacher = Teacher(nn.Identity(), weight=1.0)
        >>> scores = torch.tensor([[2.0, 1.0]])
        >>> one = Pass(torch.tensor(7.0), scores)
        >>> teacher.teach(one, teacher.scores(scores), torch.tensor([0])).item()
        0.0
    """

    section = "teacher"

    network: nn.Module
    weight: Annotated[float, Field(ge=0, le=1)] = 0.5
    temperature: Annotated[float, Field(gt=0)] = 1.0

    def identity(self) -> str:
        """Describe the network, its weights and the settings in a short text."""
        weights = digest(self.network.state_dict(), "")[:16]
        return (
            f"{type(self.network).__name__} ({weights}), weight {self.weight:g}, "
            f"temperature {self.temperature:g}"
        )

    @torch.no_grad()
    def scores(self, inputs: Tensor) -> Tensor:
        """Compute the scores of the teacher.

        Args:
            inputs (Tensor): images, shape (batch, channels, height, width), on its device.

        Returns:
            Scores, shape (batch, classes).
        """
        outputs: Tensor = self.network(inputs)
        return outputs

    def teach(self, one: Pass, scores: Tensor, targets: Tensor) -> Tensor:
        """Add the teacher's term to the loss of a forward pass.

        Args:
            one (Pass): loss on the targets, and outputs of the network.
            scores (Tensor): scores of the teacher, shape (batch, classes).
            targets (Tensor): classes of the batch, shape (batch,).

        Raises:
            UserError: the targets are not classes, or the outputs of the network are not scores of
                the teacher's classes.
        """
        outputs = one.outputs
        if targets.dim() != 1 or targets.is_floating_point():
            raise UserError("the targets are values, not classes: a teacher needs classes")
        if _shape(outputs) != _shape(scores) or outputs.dim() != 2:
            raise UserError(
                f"the teacher returns {_shape(scores)} for a batch, the network {_shape(outputs)}:"
                " both must return one score per class"
            )
        softened = F.kl_div(
            F.log_softmax(outputs.float() / self.temperature, dim=1),
            F.log_softmax(scores.float() / self.temperature, dim=1),
            reduction="batchmean",
            log_target=True,
        )
        return (1 - self.weight) * one.loss + self.weight * self.temperature**2 * softened


def check_same_teacher(before: str | None, now: str | None) -> None:
    """Check that a training is resumed with the teacher of its checkpoint.

    Raises:
        UserError: the teachers differ.
    """
    if before != now:
        raise UserError(
            f"the checkpoint was trained with {_named(before)} and cannot be resumed with "
            f"{_named(now)}: give the same, or another folder"
        )


def _named(teacher: str | None) -> str:
    return "no teacher" if teacher is None else f"the teacher {teacher}"


def _shape(outputs: Any) -> str:
    if isinstance(outputs, Tensor):
        return f"a tensor of shape {list(outputs.shape)}"
    return "nothing" if outputs is None else f"a {type(outputs).__name__}"
