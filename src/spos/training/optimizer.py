"""SGD that updates only what a step used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim.sgd import sgd

from spos.nn.region import forget, region


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
        value = None
        if closure is not None:
            with torch.enable_grad():
                value = closure()
        for group in self.param_groups:
            weights, gradients, momenta = [], [], []
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                used = tuple(slice(size) for size in region(parameter))
                weights.append(parameter.detach()[used])
                gradients.append(parameter.grad[used])
                momenta.append(self._momentum(parameter, group["momentum"], used))
                forget(parameter)
            sgd(
                weights,
                gradients,
                momenta,
                weight_decay=group["weight_decay"],
                momentum=group["momentum"],
                lr=group["lr"],
                dampening=group["dampening"],
                nesterov=group["nesterov"],
                maximize=group["maximize"],
            )
        return value

    def _momentum(
        self, parameter: Tensor, momentum: float, used: tuple[slice, ...]
    ) -> Tensor | None:
        if not momentum:
            return None
        state = self.state[parameter]
        if state.get("momentum_buffer") is None:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        buffer: Tensor = state["momentum_buffer"]
        return buffer[used]
