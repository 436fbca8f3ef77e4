"""How well an untrained network tells images apart, as a score that needs no training."""

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
        *(F.silu, F.gelu, F.mish, F.hardswish),
    }
)


class Naswot:
    """The score of neural architecture search without training (NASWOT).

    An activation such as ReLU gives each image a code: whether its input is above 0, for each unit.
    The more the codes of different images differ, the better the network can tell the images
    apart: the score is the log determinant of the matrix of the numbers of units that agree, for
    each pair of images.

    Args:
        supernet (Supernet): supernet with fresh weights, which nothing else uses; its active path
            and the statistics of its batch norms change.
        inputs (Tensor): a batch of training images on the device of the supernet.

    Raises:
        UserError: on evaluation, the network has no activation that tells images apart.

    Source: Mellor et al., "Neural Architecture Search without Training", ICML 2021, Section 3.

    Example:
        >>> from torch import nn
        >>> from spos import OneOf
        >>> layer = OneOf({n: nn.Sequential(nn.Linear(4, int(n)), nn.ReLU()) for n in ("2", "64")})
        >>> inputs = torch.eye(4).repeat(2, 1) - 0.5
        >>> score = Naswot(Supernet(layer, input_shape=(4,)), inputs)
        >>> score(Architecture([0])) < score(Architecture([1]))
        True
    """

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
        """Compute the score of an architecture."""
        self._supernet.activate(architecture)
        codes = _Codes()
        with torch.no_grad(), codes:
            self._supernet(self._inputs)
        if codes.agreeing is None:
            raise UserError(
                "search.naswot_weight: the network has no activation such as ReLU, which the score "
                "is about; leave the setting out"
            )
        # One more unit that tells every image from the others: equal images have a score as well.
        matrix = codes.agreeing.cpu() + torch.eye(len(codes.agreeing), dtype=torch.float64)
        return float(torch.linalg.slogdet(matrix).logabsdet)


class _Codes(TorchFunctionMode):
    """Sums, over the activations computed meanwhile, the units that agree for pairs of images."""

    def __init__(self) -> None:
        super().__init__()
        self.agreeing: Tensor | None = None

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in ACTIVATIONS:
            above = (args[0].flatten(1) > 0).float()
            # Two agree in the units above 0 of both, and in those of neither.
            counts = above.sum(1)
            both = above @ above.T
            agreeing = (above.shape[1] - counts[:, None] - counts + 2 * both).double()
            if self.agreeing is None:
                self.agreeing = agreeing
            elif len(agreeing) == len(self.agreeing):
                self.agreeing += agreeing
        return func(*args, **(kwargs or {}))
