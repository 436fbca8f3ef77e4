"""The state of a training in a checkpoint."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from spos._util.errors import UserError


def state_tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Name the weights, statistics and optimiser state of a training, for a checkpoint."""
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    for name, parameter in model.named_parameters():
        for key, value in optimizer.state.get(parameter, {}).items():
            if isinstance(value, Tensor):
                tensors[f"optimizer.{key}.{name}"] = value
    return tensors


def load_state(
    model: nn.Module, optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]
) -> None:
    """Restore a training from the tensors of a checkpoint.

    Raises:
        UserError: the checkpoint belongs to another model.
    """
    load_model(model, tensors)
    parameters = dict(model.named_parameters())
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, key, path = name.split(".", 2)
            parameter = parameters[path]
            optimizer.state[parameter][key] = value.to(parameter.device)


def load_model(model: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Load the weights and statistics of a checkpoint into a model.

    Raises:
        UserError: the checkpoint belongs to another model.
    """
    prefix = "model."
    state = {name[len(prefix) :]: v for name, v in tensors.items() if name.startswith(prefix)}
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"the checkpoint belongs to another model: {reason}") from error
