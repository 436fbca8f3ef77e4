"""Batch norms whose statistics are those of given images, with the weights of a network."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from spos._util.errors import UserError

#: A function that returns the batches of images and targets, called for every pass over them.
Loader = Callable[[], Iterable[tuple[Tensor, Tensor]]]


def recalibrate(network: nn.Module, loader: Loader) -> None:
    """Replace the statistics of all batch norms by their exact mean over batches.

    Args:
        network (nn.Module): network on its device, changed in place; left in evaluation mode.
        loader (Loader): function that returns batches of training images, all of the same size.

    Source: Guo et al., Section 3.3.

    Example:
        >>> norm = nn.BatchNorm1d(1)
        >>> recalibrate(norm, lambda: [(torch.tensor([[1.0], [3.0]]), torch.zeros(2))])
        >>> norm.running_mean, norm.running_var
        (tensor([2.]), tensor([2.]))
    """
    with torch.no_grad(), recalibrating(network):
        for inputs, _ in loader():
            network(inputs)


@contextmanager
def recalibrating(network: nn.Module) -> Iterator[None]:
    """Compute the statistics of all batch norms as the mean over the batches run inside.

    Args:
        network (nn.Module): network on its device, changed in place; left in evaluation mode.

    Raises:
        UserError: no batch was run.
    """
    # Those that stay in evaluation mode while the network trains have statistics of their own.
    network.train()
    norms = [one for one in network.modules() if isinstance(one, _BatchNorm) and one.training]
    # Only batch norms are in training mode: dropout stays off, so that an evaluation is exact.
    network.eval()
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    try:
        yield
        batches = [norm.num_batches_tracked for norm in norms if norm.track_running_stats]
        if batches and not any(batches):
            raise UserError(
                "no images for the statistics of batch norm: the function of the calibration "
                "images is called for every network, and must start from the first image each time"
            )
    finally:
        network.eval()
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
