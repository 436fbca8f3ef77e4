"""The moving average of the weights of a training."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from spos._util.errors import UserError

_PREFIX = "ema."


class WeightAverage:
    """The exponential moving average of a model's weights and normalisation statistics.

    The statistics are averaged like the weights, because statistics of the last weights do not suit
    the averaged ones.

    Args:
        model (nn.Module): model in training; the average starts from its weights after the first
            step.
        decay (float): share of the previous average that a step keeps, in [0, 1).

    Example:
        >>> import torch
        >>> model = nn.Linear(1, 1, bias=False)
        >>> average = WeightAverage(model, decay=0.75)
        >>> for weight in (4.0, 8.0):
        ...     _ = nn.init.constant_(model.weight, weight)
        ...     average.update()
        >>> average.apply()
        >>> model.weight.item()
        5.0
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._model = model
        moving = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
        self._average = AveragedModel(model, multi_avg_fn=moving, use_buffers=True)

    def update(self) -> None:
        """Update the average with the weights after a step."""
        self._average.update_parameters(self._model)

    def apply(self) -> None:
        """Copy the averaged weights and statistics to the model."""
        self._model.load_state_dict(self._average.module.state_dict())

    def tensors(self) -> dict[str, Tensor]:
        """Tensors of the average by name, for a checkpoint."""
        return {f"{_PREFIX}{name}": value for name, value in self._average.state_dict().items()}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore the average from the tensors of a checkpoint.

        Raises:
            UserError: the checkpoint has no average.
        """
        state = {k.removeprefix(_PREFIX): v for k, v in tensors.items() if k.startswith(_PREFIX)}
        if not state:
            raise UserError(
                "the checkpoint was trained without a moving average of its weights: give ema 0, "
                "or another folder"
            )
        self._average.load_state_dict(state)
