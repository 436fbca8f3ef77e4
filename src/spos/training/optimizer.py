"""The update of the weights: SGD of what a step used, and a moving average."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.optim.sgd import sgd
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from spos._util.errors import UserError
from spos.nn.region import forget, region
from spos.training.recipe import Recipe

_PREFIX = "ema."


class PathSGD(torch.optim.SGD):
    """SGD for supernets with elastic layers: a step updates only the slices on its path.

    torch's SGD skips parameters without a gradient. If only a part of a parameter is used, the rest
    has a zero gradient, but torch would still decay it and apply old momentum. This optimiser
    leaves the rest and its momentum unchanged. For parameters used in full, both are equal bit for
    bit.

    Source: Guo et al., Section 3.2: only the weights of the path are updated.
    """

    def zero_grad(self, set_to_none: bool = True) -> None:
        super().zero_grad(set_to_none)
        for group in self.param_groups:
            for parameter in group["params"]:
                forget(parameter)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        value = None if closure is None else torch.enable_grad()(closure)()
        for group in self.param_groups:
            weights, gradients, momenta = [], [], []
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                used = tuple(slice(size) for size in region(parameter))
                weights.append(parameter.detach()[used])
                gradients.append(parameter.grad[used])
                state = self.state[parameter]
                if group["momentum"] and "momentum_buffer" not in state:
                    state["momentum_buffer"] = torch.zeros_like(parameter)
                buffer = state.get("momentum_buffer")
                momenta.append(None if buffer is None else buffer[used])
                forget(parameter)
            names = ("weight_decay", "momentum", "lr", "dampening", "nesterov", "maximize")
            sgd(weights, gradients, momenta, **{name: group[name] for name in names})
        return value


def make_optimizer(model: nn.Module, recipe: Recipe) -> PathSGD:
    """Make the SGD optimiser of the paper, with weight decay on weights only.

    Norms, biases and the learned step sizes of quantisers are not decayed; a learned clipping value
    is, as in its paper.

    Example:
        >>> recipe = Recipe(steps=1, batch_size=1, learning_rate=0.1)
        >>> [g["weight_decay"] for g in make_optimizer(nn.Linear(2, 2), recipe).param_groups]
        [4e-05, 0.0]
    """
    # Dictionaries used as ordered sets: a parameter shared by two modules must be updated once.
    decayed: dict[nn.Parameter, None] = {}
    exempt: dict[nn.Parameter, None] = {}
    for module in model.modules():
        normalises = isinstance(module, (_NormBase, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm))
        for name, parameter in module.named_parameters(recurse=False):
            # Attention and recurrent layers name biases such as in_proj_bias and bias_ih_l0.
            free = normalises or name == "step" or "bias" in name.split("_")
            (exempt if free else decayed)[parameter] = None
    return PathSGD(
        [
            {"params": [*decayed], "weight_decay": recipe.weight_decay},
            {"params": [*exempt], "weight_decay": 0.0},
        ],
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        nesterov=recipe.nesterov,
    )


class WeightAverage:
    """The exponential moving average of a model's weights and normalisation statistics.

    The statistics are averaged like the weights, because statistics of the last weights do not suit
    the averaged ones. Integers, such as an index in a buffer, are not averaged.

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

        def average(averages: Sequence[Tensor], values: Sequence[Tensor], count: Any) -> None:
            if averages[0].is_floating_point() or averages[0].is_complex():
                moving(averages, values, count)
                return
            # A mean of indices would be rounded to others.
            for one, value in zip(averages, values, strict=True):
                one.copy_(value)

        self._average = AveragedModel(model, multi_avg_fn=average, use_buffers=True)
        pairs = zip(self._average.module.buffers(), model.buffers(), strict=True)
        # The mean of an infinity with itself is no number.
        self._endless = [(one, value) for one, value in pairs if not value.isfinite().all()]

    def update(self) -> None:
        """Update the average with the weights after a step."""
        self._average.update_parameters(self._model)
        for one, value in self._endless:
            one.copy_(value)

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
