"""How well an untrained network tells images apart, as a score that needs no training."""

from __future__ import annotations

import torch
from torch import Tensor

from spos.search.activations import Untrained
from spos.space import Architecture


class Naswot(Untrained):
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
        >>> from spos import OneOf, Supernet
        >>> layer = OneOf({n: nn.Sequential(nn.Linear(4, int(n)), nn.ReLU()) for n in ("2", "64")})
        >>> inputs = torch.eye(4).repeat(2, 1) - 0.5
        >>> score = Naswot(Supernet(layer, input_shape=(4,)), inputs)
        >>> score(Architecture([0])) < score(Architecture([1]))
        True
    """

    setting = "search.naswot_weight"

    def score(self, architecture: Architecture) -> float | None:
        """Log determinant of the numbers of units that agree; None without activations."""
        total: Tensor | None = None

        def add(signs: Tensor) -> None:
            nonlocal total
            above = signs.float()
            # Two agree in the units above 0 of both, and in those of neither.
            counts = above.sum(1)
            agreeing = (above.shape[1] - counts[:, None] - counts + 2 * above @ above.T).double()
            total = agreeing if total is None else total + agreeing

        self.read(architecture, add)
        if total is None:
            return None
        # One more unit that tells every image from the others: equal images have a score as well.
        matrix = total.cpu() + torch.eye(len(total), dtype=torch.float64)
        return float(torch.linalg.slogdet(matrix).logabsdet)
