"""The architecture parameters of a supernet (theta), their mixtures, and the modules they mix."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from spos._util.errors import UserError
from spos.cost.expected import ExpectedCost
from spos.nn.choice import ChoiceModule
from spos.nn.one_of import OneOf
from spos.nn.supernet import Supernet
from spos.training.method import Batches
from spos.training.recipe import DifferentiableSettings

_PREFIX = "theta."


class Moment(NamedTuple):
    """The conditions that a mixture is drawn under.

    Args:
        temperature (float): temperature of the Gumbel softmax, above 0.
        of_theta (bool): whether the step trains theta; otherwise it trains only the weights.
    """

    temperature: float
    of_theta: bool


class Mixture(NamedTuple):
    """The mixture weights of the options of one choice in one step.

    Args:
        weights (tuple[tuple[int, Tensor], ...]): index and scalar weight of each option that runs;
            a single option has weight 1.
        probabilities (Tensor): probabilities of all options, shape (options,), for the mean cost;
            their sum is 1.
        moved (Tensor | None): boolean mask of the options whose theta is updated, shape (options,);
            their total probability is kept. None to update all options.
    """

    weights: tuple[tuple[int, Tensor], ...]
    probabilities: Tensor
    moved: Tensor | None = None


@dataclass(frozen=True)
class ThetaParts:
    """Settings, images and cost of the training of theta.

    Args:
        settings (DifferentiableSettings): settings of the training of theta.
        epoch (int | None): steps per pass over the images that the weights learn from; None for a
            90th of the training.
        batches (Batches | None): function from a theta step to the batches of this and all later
            theta steps; only for the alternating form.
        expected (ExpectedCost | None): mean cost in the loss of theta; only for the alternating
            form.
        unit (float): unit of the mean cost, above 0, such as 1e6 for millions.
        limit (float): mean cost up to which nothing is charged, in the cost's own unit.
        autocast (Callable): function that returns the precision context of a forward pass.
        record (Callable): receiver of records of theta, called about 100 times per training.
    """

    settings: DifferentiableSettings = field(
        default_factory=lambda: DifferentiableSettings(form="joint")
    )
    epoch: int | None = None
    batches: Batches | None = None
    expected: ExpectedCost | None = None
    unit: float = 1.0
    limit: float = 0.0
    autocast: Callable[[], AbstractContextManager[Any]] = nullcontext
    record: Callable[[dict[str, Any]], None] = lambda values: None


class Theta:
    """Architecture parameters: one number per option of each choice, trained by Adam.

    All modules of the same choice share the parameters.

    Args:
        supernet (Supernet): supernet whose choices are all between modules
            (:class:`spos.nn.OneOf`).
        settings (DifferentiableSettings): learning rate and weight decay of Adam.

    Raises:
        UserError: a choice is of another kind, such as a width.

    Source: Wu et al., FBNet, CVPR 2019, Section 3.2 and 4.1 (Adam).

    Example:
        >>> model = nn.Sequential(OneOf({"linear": nn.Linear(2, 2), "skip": nn.Identity()}))
        >>> theta = Theta(Supernet(model, (2,)), DifferentiableSettings())
        >>> theta.probabilities()
        [tensor([0.5000, 0.5000])]
    """

    def __init__(self, supernet: Supernet, settings: DifferentiableSettings) -> None:
        self._readers = choice_modules(supernet)
        device = next((p.device for p in supernet.parameters()), torch.device("cpu"))
        self.values = [
            nn.Parameter(torch.zeros(len(choice.options), device=device))
            for choice in supernet.space.choices
        ]
        rate, decay = settings.learning_rate, settings.weight_decay
        self._optimizer = torch.optim.Adam(self.values, lr=rate, weight_decay=decay)

    def probabilities(self) -> list[Tensor]:
        """Compute the option probabilities, one tensor of shape (options,) per choice."""
        return [torch.softmax(value.detach(), dim=0) for value in self.values]

    def end_mixtures(self) -> None:
        """Leave all modules with one active option."""
        for module, _ in self._readers:
            module.mixture = None

    def set_mixtures(self, mixtures: Sequence[Mixture]) -> None:
        """Set the mixture weights of all modules."""
        for module, position in self._readers:
            set_mixture(module, mixtures[position].weights)

    def forget_gradients(self) -> None:
        """Reset the gradients before a new step."""
        self._optimizer.zero_grad(set_to_none=True)

    def step(self, moved: Sequence[Tensor | None]) -> None:
        """Update theta by its gradients.

        Args:
            moved (Sequence[Tensor | None]): per choice a boolean mask of shape (options,) of the
                options to update, whose total probability is kept; None to update all options.
        """
        before = [value.detach().clone() for value in self.values]
        self._optimizer.step()
        with torch.no_grad():
            for value, old, mask in zip(self.values, before, moved, strict=True):
                if mask is None:
                    continue
                shift = value[mask].logsumexp(0) - old[mask].logsumexp(0)
                value.copy_(torch.where(mask, value - shift, old))

    def finite(self) -> bool:
        """Whether theta and the state of Adam are finite."""
        return all(bool(value.isfinite().all()) for value in self.tensors().values())

    def tensors(self) -> dict[str, Tensor]:
        """Tensors of theta and of the state of Adam by name, for a checkpoint."""
        tensors = {}
        for number, value in enumerate(self.values):
            tensors[f"{_PREFIX}{number}"] = value.detach()
            for key, state in self._optimizer.state.get(value, {}).items():
                tensors[f"{_PREFIX}{number}.{key}"] = state
        return tensors

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore theta from the tensors of a checkpoint.

        Raises:
            UserError: the checkpoint has no theta, or that of another space.
        """
        for number, value in enumerate(self.values):
            stored = tensors.get(f"{_PREFIX}{number}")
            if stored is None or stored.shape != value.shape:
                raise UserError(
                    "the supernet of the checkpoint was trained without theta, or for another "
                    "space: a differentiable search needs its own run directory, give another "
                    "--out"
                )
            with torch.no_grad():
                value.copy_(stored)
            prefix = f"{_PREFIX}{number}."
            state = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
            if state:
                # Adam counts its steps on the CPU.
                self._optimizer.state[value] = {
                    key: tensor if key == "step" else tensor.to(value.device)
                    for key, tensor in state.items()
                }


def has_theta(tensors: Mapping[str, Tensor]) -> bool:
    """Whether the tensors of a checkpoint include architecture parameters."""
    return any(name.startswith(_PREFIX) for name in tensors)


def set_mixture(module: OneOf, weights: Sequence[tuple[int, Tensor]]) -> None:
    """Set the mixture weights of a module, or its active option if there is only one."""
    if len(weights) == 1:
        module.active, module.mixture = weights[0][0], None
    else:
        module.mixture = weights


def choice_modules(supernet: Supernet) -> list[tuple[OneOf, int]]:
    """List the modules of a supernet that belong to a choice.

    Returns:
        Modules, each with the position of its choice in the space.

    Raises:
        UserError: a choice is not between modules.
    """
    positions = {choice.name: place for place, choice in enumerate(supernet.space.choices)}
    found: list[tuple[OneOf, int]] = []
    for module in supernet.modules():
        if not isinstance(module, ChoiceModule):
            continue
        if not isinstance(module, OneOf):
            raise UserError(
                f"choice '{module.choice_name}' is a {type(module).__name__}: a differentiable "
                "search mixes the outputs of modules (OneOf); for this space use --algorithm "
                "evolution or random"
            )
        assert module.choice_name is not None
        found.append((module, positions[module.choice_name]))
    return found
