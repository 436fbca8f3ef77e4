"""Untrained networks, and what their activations do with images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode

from spos._util.errors import UserError
from spos.nn.supernet import Supernet
from spos.space import Architecture

#: Activations that treat inputs above 0 and below 0 differently, as functions.
ACTIVATIONS: frozenset[Callable[..., Tensor]] = frozenset(
    {
        *(F.relu, F.relu_, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_),
        *(F.relu6, F.leaky_relu, F.leaky_relu_, F.elu, F.celu, F.selu),
        *(F.silu, F.gelu, F.mish, F.hardswish, torch.prelu, Tensor.prelu),
    }
)


class Untrained:
    """A score of networks with fresh weights, by the signs of the inputs of their activations.

    A subclass defines :meth:`score`.

    Args:
        supernet (Supernet): supernet with fresh weights, which nothing else uses; its active path
            and the statistics of its batch norms change.
        inputs (Tensor): a batch of training images on the device of the supernet.
    """

    #: Setting of its weight, for messages.
    setting = ""

    def __init__(self, supernet: Supernet, inputs: Any) -> None:
        self._supernet = supernet.eval()
        for module in supernet.modules():
            if isinstance(module, _BatchNorm):
                # By the statistics of the batch, as in training; dropout stays off.
                module.train()
        self._inputs = inputs

    def check(self) -> None:
        """Check that the active path has activations, before anything is trained.

        Raises:
            UserError: it has none.
        """
        self(self._supernet.active)

    def __call__(self, architecture: Architecture) -> float:
        """Compute the score of an architecture.

        Raises:
            UserError: its network has no activation that tells images apart.
        """
        value = self.score(architecture)
        if value is None:
            raise UserError(
                f"{self.setting}: the network has no activation such as ReLU, which the score is "
                "about; leave the setting out"
            )
        return value

    def score(self, architecture: Architecture) -> float | None:
        """The score of an architecture; None if it has no activation that tells images apart."""
        raise NotImplementedError

    def read(self, architecture: Architecture, use: Callable[[Tensor], object]) -> None:
        """Hand the signs of all activations of a network to a function, one after the other.

        Left out are activations without a row for each image, such as those of flattened tokens.

        Args:
            architecture (Architecture): the network.
            use (Callable): function of whether inputs are above 0, shape (images, units), boolean.
        """
        self._supernet.activate(architecture)
        with torch.no_grad(), _Signs(use, len(self._inputs)):
            self._supernet(self._inputs)


class _Signs(TorchFunctionMode):
    def __init__(self, use: Callable[[Tensor], object], images: int) -> None:
        super().__init__()
        self._use, self._images = use, images

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in ACTIVATIONS:
            values = args[0] if args else kwargs["input"]
            if values.dim() > 1 and len(values) == self._images:
                self._use(values.flatten(1) > 0)
        return func(*args, **(kwargs or {}))
