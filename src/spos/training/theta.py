"""The architecture parameters of a supernet, and where they are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from spos._util.errors import UserError
from spos.cost.expected import ExpectedCost
from spos.nn.choice import ChoiceModule
from spos.nn.one_of import OneOf
from spos.nn.supernet import Supernet
from spos.training.differentiable import DifferentiableSettings
from spos.training.method import Batches
from spos.training.mixture import Mixture

_PREFIX = "theta."


@dataclass(frozen=True)
class ThetaParts:
    """What theta learns from, and who is told of it.

    Args:
        settings (DifferentiableSettings): of theta.
        epoch (int | None): steps of a pass over the images that the weights learn from; a 90th of
            the training without it.
        batches (Batches | None): images of theta by the number of its step; only for the
            alternating form.
        expected (ExpectedCost | None): mean cost in the loss of theta; likewise.
        unit (float): what the mean cost is counted in.
        limit (float): mean cost that is not charged, in its own unit: one below counts as this.
        autocast (Callable): gives the context of the precision of a forward pass.
        record (Callable): told of theta now and then.
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
    """One number for each option of each choice, trained by Adam; modules of one choice share it.

    Args:
        supernet: whose choices are all between modules (:class:`spos.nn.OneOf`).
        learning_rate: of Adam.
        weight_decay: of Adam.

    Raises:
        UserError: a choice is of another kind, such as a width.

    Source: Wu et al., FBNet, CVPR 2019, Section 3.2 and 4.1 (Adam).

    Example:
        >>> model = nn.Sequential(OneOf({"linear": nn.Linear(2, 2), "skip": nn.Identity()}))
        >>> theta = Theta(Supernet(model, (2,)), learning_rate=0.01, weight_decay=0.0)
        >>> theta.probabilities()
        [tensor([0.5000, 0.5000])]
    """

    def __init__(self, supernet: Supernet, *, learning_rate: float, weight_decay: float) -> None:
        self._space = supernet.space
        self._readers = readers(supernet)
        device = next((p.device for p in supernet.parameters()), torch.device("cpu"))
        self.values = [
            nn.Parameter(torch.zeros(len(choice.options), device=device))
            for choice in supernet.space.choices
        ]
        self._optimizer = torch.optim.Adam(self.values, lr=learning_rate, weight_decay=weight_decay)

    def probabilities(self) -> list[Tensor]:
        """The probability of each option of each choice."""
        return [torch.softmax(value.detach(), dim=0) for value in self.values]

    def mix(self, mixtures: Sequence[Mixture]) -> None:
        """Give the modules of each choice their weights."""
        for module, position in self._readers:
            mix(module, mixtures[position].weights)

    def clear(self) -> None:
        """Let every module run its active option again."""
        for module, _ in self._readers:
            module.mixture = None

    def forget_gradients(self) -> None:
        """Begin a new step."""
        self._optimizer.zero_grad(set_to_none=True)

    def step(self, moved: Sequence[Tensor | None]) -> None:
        """Move theta by its gradients.

        Args:
            moved: of each choice, the options that may be moved, and keep their probability
                together; all of them without it.
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
        """Whether all of theta, and what Adam knows of it, is finite numbers."""
        return all(bool(value.isfinite().all()) for value in self.tensors().values())

    def tensors(self) -> dict[str, Tensor]:
        """Theta and the state of Adam, for a checkpoint."""
        tensors = {}
        for number, value in enumerate(self.values):
            tensors[f"{_PREFIX}{number}"] = value.detach()
            for key, state in self._optimizer.state.get(value, {}).items():
                tensors[f"{_PREFIX}{number}.{key}"] = state
        return tensors

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take up the state of a checkpoint.

        Raises:
            UserError: it holds none, or that of another space.
        """
        for number, value in enumerate(self.values):
            stored = tensors.get(f"{_PREFIX}{number}")
            if stored is None or stored.shape != value.shape:
                raise UserError(
                    "the checkpoint is of a supernet that was trained without theta, or of another "
                    "space: a differentiable search needs a run directory of its own, give another "
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
    """Whether a checkpoint is of a training that had architecture parameters."""
    return any(name.startswith(_PREFIX) for name in tensors)


def mix(module: OneOf, weights: Sequence[tuple[int, Tensor]]) -> None:
    """Give a module the weights of its options; of a single one, make that the active option."""
    if len(weights) == 1:
        module.active, module.mixture = weights[0][0], None
    else:
        module.mixture = weights


def readers(supernet: Supernet) -> list[tuple[OneOf, int]]:
    """The modules that read a choice, each with the position of the choice.

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
