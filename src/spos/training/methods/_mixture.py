"""The base of the differentiable methods, which train weights and theta on mixed options."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from spos._util.errors import UserError
from spos._util.randomness import seed_generators, torch_generator, torch_seed
from spos.training.method import Method, Pass
from spos.training.progress import divergence_error
from spos.training.theta import Mixture, Moment, Theta, ThetaParts

#: Number of records of theta per training.
RECORDS = 100
#: Epochs of a training with an unknown number of images: as many as in FBNet.
EPOCHS = 90


class MixtureMethod(Method):
    """Training of weights and theta on mixtures of options, alternating or jointly.

    Args:
        paths (int): mixtures per step, each on the same batch, at least 1.
        parts (ThetaParts | None): settings, images and cost of theta; None to train theta jointly
            with the weights, without a cost.

    Attributes:
        joint (bool): whether the method has a joint form.
        cools (bool): whether the method uses the temperature.

    Raises:
        UserError: a choice is not between modules, or the settings do not suit the method.

    Example:
        >>> from spos import OneOf, Supernet
        >>> from spos.training import METHODS, Recipe
        >>> from torch import nn
        >>> supernet = Supernet(
        ...     nn.Sequential(OneOf({"a": nn.Identity(), "b": nn.Identity()})), (2,)
        ... )
        >>> recipe = Recipe(steps=10, batch_size=2, learning_rate=0.1)
        >>> method = METHODS["darts"](supernet, nn.functional.cross_entropy, recipe, seed=0)
        >>> for one in method.losses(0, torch.ones(1, 2), torch.tensor([0])):
        ...     print(one.outputs)
        tensor([[1., 1.]], grad_fn=<AddBackward0>)
    """

    settings = ("paths",)
    trains_theta = True
    joint: ClassVar[bool] = True
    cools: ClassVar[bool] = False

    def __init__(
        self, *training: Any, paths: int = 1, parts: ThetaParts | None = None, **named: Any
    ) -> None:
        super().__init__(*training, **named)
        self._parts = parts or ThetaParts()
        settings = self._parts.settings
        self._jointly = settings.form == "joint"
        if self._jointly and not self.joint:
            raise UserError(
                f"differentiable.form joint: the gates of {self.label} need steps of their own for "
                "theta; allowed: alternating"
            )
        self.passes = paths
        self.theta = Theta(self.supernet, settings)
        self._epoch = self._parts.epoch or max(1, self.recipe.steps // EPOCHS)
        self._remaining: Iterator[tuple[Tensor, Tensor]] | None = None
        self._drawn: list[Mixture] = []

    @staticmethod
    @abstractmethod
    def draw(theta: Tensor, moment: Moment, random: torch.Generator) -> Mixture:
        """Draw the mixture weights of a choice; the methods differ only in this.

        Args:
            theta (Tensor): architecture parameters of the choice, shape (options,).
            moment (Moment): temperature, and whether theta or the weights are trained.
            random (torch.Generator): generator of all randomness, on the CPU.
        """

    def losses(self, step: int, inputs: Tensor, targets: Tensor) -> Iterator[Pass]:
        """Yield the losses of a step on mixtures of options."""
        if step % max(1, self.recipe.steps // RECORDS) == 0:
            self._tell(step)
        self.theta.forget_gradients()
        for number in range(self.passes):
            # Weights and theta may share a mixture in the joint form, because the methods that have
            # one draw alike for both; ProxylessNAS, whose draws differ, has none.
            values = [v if self._jointly else v.detach() for v in self.theta.values]
            self._drawn = self._draw(values, step, number, of_theta=False)
            self.theta.set_mixtures(self._drawn)
            yield self.forward(inputs, targets)

    def after_step(self, step: int) -> None:
        """Train theta if a theta step is due."""
        settings, steps = self._parts.settings, self.recipe.steps
        if settings.theta_steps(step + 1, steps) > settings.theta_steps(step, steps):
            if not self._jointly:
                self._learn(step)
            self.theta.step([mixture.moved for mixture in self._drawn])
            if not self.theta.finite():
                raise self._broken("theta became non-finite", step)
        if step + 1 == steps:
            self._tell(step + 1)
            self.theta.end_mixtures()

    def _learn(self, step: int) -> None:
        """Compute the gradients of theta on a batch of its own images."""
        parts, settings = self._parts, self._parts.settings
        assert parts.batches is not None and parts.expected is not None
        if self._remaining is None:
            first = settings.theta_steps(step, self.recipe.steps)
            self._remaining = iter(parts.batches(first))
        inputs, targets = next(self._remaining)
        seed_generators(torch_seed(self.seed, "theta step", step), inputs.device)
        values = self.theta.values
        self._drawn = self._draw(values, step, 0, of_theta=True)
        self.theta.set_mixtures(self._drawn)
        with parts.autocast():
            loss = self.loss(self.model(inputs), targets)
        cost = parts.expected([mixture.probabilities for mixture in self._drawn])
        if loss < 0:
            raise UserError(
                f"the loss became {loss.item():g} on the images of theta: a loss below 0 times a "
                "cost would reward expensive networks; give a loss of at least 0, or the form joint"
            )
        charged = cost.clamp_min(parts.limit)
        # Wu et al., Section 3.3, Equation 2.
        total = loss * settings.alpha * torch.log(charged / parts.unit) ** settings.beta
        if not loss.isfinite():
            what = f"the loss became {loss.item()} on the images of theta"
            raise divergence_error(what, step + 1, self.recipe)
        if not total.isfinite():
            raise self._broken(f"the loss of theta became {total.item()}", step)
        gradients = torch.autograd.grad(total, values, allow_unused=True)
        for value, gradient in zip(values, gradients, strict=True):
            value.grad = gradient

    def _draw(self, values: list[Any], step: int, number: int, *, of_theta: bool) -> list[Mixture]:
        purpose = "mixture of theta" if of_theta else "mixture"
        random = torch_generator(self.seed, purpose, step, number)
        moment = Moment(self._temperature(step), of_theta)
        return [self.draw(value, moment, random) for value in values]

    def _temperature(self, step: int) -> float:
        return self._parts.settings.temperature_at(step // self._epoch)

    def _tell(self, step: int) -> None:
        """Record theta after a number of steps of the training."""
        probabilities = self.theta.probabilities()
        shares = [column.double().cpu() for column in probabilities]
        record: dict[str, Any] = {
            "step": step,
            "probabilities": [[round(p, 6) for p in column.tolist()] for column in shares],
            "entropy": [round(float(torch.special.entr(c).sum()), 6) for c in shares],
        }
        if self.cools:
            record["temperature"] = self._temperature(min(step, self.recipe.steps - 1))
        if self._parts.expected is not None:
            # The step runs in the precision of the training; half precision would round the cost.
            with torch.autocast(probabilities[0].device.type, enabled=False):
                record["expected_cost"] = float(self._parts.expected(probabilities))
        self._parts.record(record)

    def tensors(self) -> dict[str, Tensor]:
        """Tensors of theta and of the state of Adam by name, for a checkpoint."""
        return self.theta.tensors()

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore theta from the tensors of a checkpoint."""
        self.theta.load(tensors)

    def _broken(self, what: str, step: int) -> UserError:
        settings = self._parts.settings
        return UserError(
            f"{what} at step {step + 1} of {self.recipe.steps} (differentiable: "
            f"learning_rate {settings.learning_rate:g}, temperature "
            f"{self._temperature(step):g}, alpha {settings.alpha:g}, beta "
            f"{settings.beta:g}): the last good state is kept; try a lower learning_rate of theta "
            "or of the supernet, a lower beta or a higher temperature, in a new run directory"
        )
