"""The state of a training in a checkpoint."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from spos._util.errors import UserError


class TrainingState:
    """Weights, statistics and optimiser state as tensors by name.

    Args:
        model (nn.Module): model in training.
        optimizer (Optimizer): optimiser of its parameters.
    """

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self.model = model
        self.optimizer = optimizer
        self.names = {id(p): name for name, p in model.named_parameters()}

    def tensors(self) -> dict[str, Tensor]:
        """Tensors of the state by name, for a checkpoint."""
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        for parameter, values in self.optimizer.state.items():
            for key, value in values.items():
                if isinstance(value, Tensor):
                    tensors[f"optimizer.{key}.{self.names[id(parameter)]}"] = value
        return tensors

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Restore the state from the tensors of a checkpoint.

        Raises:
            UserError: the checkpoint belongs to another model.
        """
        load_model(self.model, tensors)
        parameters = dict(self.model.named_parameters())
        for name, value in tensors.items():
            if name.startswith("optimizer."):
                _, key, path = name.split(".", 2)
                parameter = parameters[path]
                self.optimizer.state[parameter][key] = value.to(parameter.device)


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
