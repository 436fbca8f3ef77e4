"""What a step of a differentiable search trains, for the loop that all trainings share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor

from spos._util.errors import UserError
from spos._util.randomness import torch_generator, torch_seed
from spos.cost.expected import ExpectedCost
from spos.nn.supernet import Supernet
from spos.training.loop import Batches, Loss
from spos.training.methods.mix import DRAWS, Mixture, Moment
from spos.training.methods.settings import DifferentiableSettings
from spos.training.methods.theta import Theta
from spos.training.progress import diverged
from spos.training.recipe import Recipe

#: Records of theta that a training makes.
RECORDS = 100


@dataclass(frozen=True)
class Schedule:
    """When what happens in a differentiable search.

    Args:
        algorithm: of :data:`spos.training.methods.mix.DRAWS`.
        settings: of the search.
        recipe: of the weights.
        epoch: the steps of a pass over the images that the weights learn from.
        unit: what the mean cost is counted in, in the loss of theta.
        seed: of everything random.
        limit: a mean cost below this counts as this.
    """

    algorithm: str
    settings: DifferentiableSettings
    recipe: Recipe
    epoch: int
    unit: float
    seed: int
    limit: float = 0.0

    @property
    def joint(self) -> bool:
        """Whether theta is trained in the steps of the weights."""
        return self.settings.form == "joint"

    def temperature(self, step: int) -> float:
        """The temperature of a step."""
        return self.settings.temperature_at(step // self.epoch)

    def theta_steps(self, step: int) -> int:
        """How many theta steps come before those of a weight step."""
        return max(0, step - self.settings.warmup_steps(self.recipe.steps)) // self.settings.every

    def moves_theta(self, step: int) -> bool:
        """Whether theta is trained after a weight step."""
        return self.theta_steps(step + 1) > self.theta_steps(step)


class MixtureMethod:
    """Weights of mixed options, and theta, in turns or together.

    Args:
        supernet: trained.
        theta: its architecture parameters.
        schedule: when what happens.
        expected: the mean cost; None only where the loss of theta has none.
        batches: from the number of a theta step to the batches of it and all later ones.
        loss: of (output, target).
        fabric: the devices and the precision.
        record: told of theta now and then.

    Example:
        >>> from spos.nn import OneOf
        >>> model = torch.nn.Sequential(OneOf({"a": torch.nn.Identity(), "b": torch.nn.Identity()}))
        >>> supernet = Supernet(model, (2,))
        >>> recipe = Recipe(steps=10, batch_size=2, learning_rate=0.1)
        >>> schedule = Schedule("darts", DifferentiableSettings(form="joint"), recipe, 5, 1.0, 0)
        >>> method = MixtureMethod(
        ...     supernet,
        ...     Theta(supernet, learning_rate=0.01, weight_decay=0.0),
        ...     schedule,
        ...     None,
        ...     lambda start: [],
        ...     torch.nn.functional.cross_entropy,
        ...     Fabric(accelerator="cpu", devices=1),
        ... )
        >>> for _ in method.passes(0):
        ...     print(supernet(torch.ones(1, 2)))
        tensor([[1., 1.]], grad_fn=<AddBackward0>)
    """

    def __init__(
        self,
        supernet: Supernet,
        theta: Theta,
        schedule: Schedule,
        expected: ExpectedCost | None,
        batches: Batches,
        loss: Loss,
        fabric: Fabric,
        record: Callable[[dict[str, Any]], None] = lambda values: None,
    ) -> None:
        self._supernet = supernet
        self._theta = theta
        self._schedule = schedule
        self._expected = expected
        self._batches = batches
        self._loss = loss
        self._fabric = fabric
        self._record = record
        self._remaining: Iterator[tuple[Tensor, Tensor]] | None = None
        self._drawn: list[Mixture] = []

    def passes(self, step: int) -> Iterator[None]:
        """Mix the options for the weights of a step."""
        schedule = self._schedule
        if step % max(1, schedule.recipe.steps // RECORDS) == 0:
            self._tell(step)
        self._theta.forget_gradients()
        for number in range(schedule.recipe.paths):
            # The gates of ProxylessNAS have two steps of different kinds, so that there it is never
            # both; the others draw alike for both.
            values = [v if schedule.joint else v.detach() for v in self._theta.values]
            self._drawn = self._draw(values, step, number, of_theta=False)
            self._theta.mix(self._drawn)
            yield

    def after_step(self, step: int) -> None:
        """Train theta where it is its turn."""
        if self._schedule.moves_theta(step):
            if not self._schedule.joint:
                self._learn(step)
            self._theta.step([mixture.moved for mixture in self._drawn])
            if not self._theta.finite():
                raise self._broken("theta is no finite number any more", step)
        if step + 1 == self._schedule.recipe.steps:
            self._tell(step + 1)

    def _learn(self, step: int) -> None:
        """The gradients of theta on a batch of its own."""
        if self._remaining is None:
            self._remaining = iter(self._batches(self._schedule.theta_steps(step)))
        inputs, targets = next(self._remaining)
        torch.manual_seed(torch_seed(self._schedule.seed, "theta step", step))
        values = self._theta.values
        self._drawn = self._draw(values, step, 0, of_theta=True)
        self._theta.mix(self._drawn)
        with self._fabric.autocast():
            loss = self._loss(self._supernet(inputs), targets)
        assert self._expected is not None
        settings = self._schedule.settings
        cost = self._expected([mixture.probabilities for mixture in self._drawn])
        if loss < 0:
            raise UserError(
                f"the loss became {loss.item():g} on the images of theta: times a cost, one below "
                "0 would reward what is expensive; give a loss of at least 0, or the form joint"
            )
        charged = cost.clamp_min(self._schedule.limit)
        # Wu et al., Section 3.3, Equation 2.
        total = loss * settings.alpha * torch.log(charged / self._schedule.unit) ** settings.beta
        if not loss.isfinite():
            what = f"the loss became {loss.item()} on the images of theta"
            raise diverged(what, step + 1, self._schedule.recipe)
        if not total.isfinite():
            raise self._broken(f"the loss of theta became {total.item()}", step)
        gradients = torch.autograd.grad(total, values, allow_unused=True)
        for value, gradient in zip(values, gradients, strict=True):
            value.grad = gradient

    def _draw(self, values: list[Any], step: int, number: int, *, of_theta: bool) -> list[Mixture]:
        schedule = self._schedule
        purpose = "mixture of theta" if of_theta else "mixture"
        random = torch_generator(schedule.seed, purpose, step, number)
        moment = Moment(schedule.temperature(step), of_theta)
        return [DRAWS[schedule.algorithm](value, moment, random) for value in values]

    def _tell(self, step: int) -> None:
        """Record theta after a number of steps."""
        probabilities = self._theta.probabilities()
        shares = [column.double().cpu() for column in probabilities]
        record: dict[str, Any] = {
            "step": step,
            "probabilities": [[round(p, 6) for p in column.tolist()] for column in shares],
            "entropy": [round(float(torch.special.entr(c).sum()), 6) for c in shares],
        }
        if self._schedule.algorithm == "fbnet":
            last = min(step, self._schedule.recipe.steps - 1)
            record["temperature"] = self._schedule.temperature(last)
        if self._expected is not None:
            record["expected_cost"] = float(self._expected(probabilities))
        self._record(record)

    def tensors(self) -> dict[str, Tensor]:
        """Theta and what Adam knows of it."""
        return self._theta.tensors()

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take theta up from a checkpoint."""
        self._theta.load(tensors)

    def _broken(self, what: str, step: int) -> UserError:
        settings = self._schedule.settings
        return UserError(
            f"{what} at step {step + 1} of {self._schedule.recipe.steps} (differentiable: "
            f"learning_rate {settings.learning_rate:g}, temperature "
            f"{self._schedule.temperature(step):g}, alpha {settings.alpha:g}, beta "
            f"{settings.beta:g}): the last good state is kept; try a lower learning_rate of theta "
            "or of the supernet, a lower beta or a higher temperature, in a new run directory"
        )
