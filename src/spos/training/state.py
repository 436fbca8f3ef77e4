"""The state of a training: what its steps change, and what its checkpoints hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import nn

from spos.training.checkpoint import Checkpoints, Loaded, load_state, state_tensors
from spos.training.method import Method
from spos.training.optimizer import WeightAverage
from spos.training.progress import divergence_error
from spos.training.recipe import Recipe
from spos.training.teacher import check_same_teacher

if TYPE_CHECKING:
    from lightning_fabric import Fabric


@dataclass
class TrainingState:
    """What the steps of a training change, and its checkpoints hold.

    Args:
        fabric (Fabric): devices and precision.
        model (nn.Module): model on the device.
        optimizer (torch.optim.Optimizer): optimiser of its weights.
        method (Method): training method.
        recipe (Recipe): optimisation settings.
        taught (str | None): identity of the teacher; None without.

    Attributes:
        step (int): number of finished steps.
        seconds (float): wall time of the attempts before this one.
    """

    fabric: Fabric
    model: nn.Module
    optimizer: torch.optim.Optimizer
    method: Method
    recipe: Recipe
    taught: str | None
    step: int = field(init=False, default=0)
    seconds: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        decay = self.recipe.ema
        self._average = WeightAverage(self.model, decay) if decay else None
        # A mask of attention, for example, is made of minus infinity.
        self._endless = {
            prefix + name
            for name, buffer in self.model.named_buffers(remove_duplicate=False)
            if not bool(buffer.isfinite().all())
            for prefix in ("model.", "buffer.", "ema.module.")
        }

    def resume(self, checkpoints: Checkpoints, until: int) -> Loaded | None:
        """Go on from the last checkpoint.

        Args:
            checkpoints (Checkpoints): storage of the training state.
            until (int): step that it is not to be later than.

        Returns:
            The checkpoint; None without one.

        Raises:
            UserError: it is damaged, or of a training with another teacher.
        """
        loaded = checkpoints.load(until)
        if loaded is None:
            return None
        check_same_teacher(loaded.metadata.get("teacher"), self.taught)
        load_state(self.model, self.optimizer, loaded.tensors)
        self.method.load(loaded.tensors)
        if self._average is not None:
            self._average.load(loaded.tensors)
        if loaded.metadata.get("precision"):
            self.fabric.strategy.precision.load_state_dict(loaded.metadata["precision"])
        self.step, self.seconds = loaded.step, loaded.metadata["seconds"]
        return loaded

    def save(self, checkpoints: Checkpoints, seconds: float) -> None:
        """Write a checkpoint, in the first process.

        Args:
            checkpoints (Checkpoints): storage of the training state.
            seconds (float): wall time of all attempts.

        Raises:
            UserError: a weight is not finite.
        """
        if not self.fabric.is_global_zero:
            return
        tensors = {**state_tensors(self.model, self.optimizer), **self.method.tensors()}
        if self._average is not None:
            tensors.update(self._average.tensors())
        for name, tensor in tensors.items():
            if name in self._endless or not tensor.is_floating_point():
                continue
            if not tensor.isfinite().all():
                raise divergence_error(f"non-finite weights ({name})", self.step, self.recipe)
        precision = self.fabric.strategy.precision.state_dict()
        facts = {"seconds": seconds, "precision": precision, "teacher": self.taught}
        checkpoints.save(self.step, tensors, facts)

    def end_step(self) -> None:
        """Count a step whose weights are updated."""
        self.method.after_step(self.step)
        self.step += 1
        if self._average is not None:
            self._average.update()
            if self.step == self.recipe.steps:
                self._average.apply()

    def pause(self) -> None:
        """Leave the model with its averaged weights before the last step, if they are averaged."""
        if self._average is not None and self.step < self.recipe.steps:
            self._average.apply()
