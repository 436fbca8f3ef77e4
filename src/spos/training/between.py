"""What the processes of a training exchange: gradients, and whether to stop."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from spos._util.processes import exchanging
from spos._util.randomness import torch_seed
from spos.nn.region import region, use

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def any_process(fabric: Fabric, value: bool) -> bool:
    """Whether a value is true in any process.

    Raises:
        LostError: another process ended, or does not answer.
    """
    if fabric.world_size == 1:
        return value
    with exchanging():
        return bool(
            cast(Tensor, fabric.all_reduce(torch.tensor(float(value)), reduce_op="sum")) > 0
        )


def seed_of_paths(seed: int, rank: int) -> int:
    """The seed of the paths of a process that draws its own; the first keeps that of the training.

    Args:
        seed (int): seed of the training, at least 0.
        rank (int): number of the process, at least 0.

    Example:
        >>> seed_of_paths(3, 0), seed_of_paths(3, 1) == seed_of_paths(3, 2)
        (3, False)
    """
    return torch_seed(seed, "paths of a process", rank) if rank else seed


def average_gradients(fabric: Fabric, model: nn.Module, own_paths: bool) -> None:
    """Replace the gradients of a model by their mean over the processes.

    Args:
        fabric (Fabric): the processes, already launched.
        model (nn.Module): model with gradients.
        own_paths (bool): whether each process has trained paths of its own.

    Raises:
        LostError: another process ended, or does not answer.
    """
    # DistributedDataParallel would exchange the gradients of all options; only those on a path
    # have any, and the path is the same in all processes unless they draw their own.
    if fabric.world_size == 1:
        return
    if own_paths:
        _fill_gradients(fabric, list(model.parameters()))
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    with exchanging():
        flat = cast(Tensor, fabric.all_reduce(flat, reduce_op="mean"))
    means = flat.split_with_sizes([gradient.numel() for gradient in gradients])
    for gradient, mean in zip(gradients, means, strict=True):
        gradient.copy_(mean.view_as(gradient))


def _fill_gradients(fabric: Fabric, parameters: list[nn.Parameter]) -> None:
    """Give weights that another process has used a gradient of zeros, and the slice that it used.

    The mean is then the gradient of the loss of the whole batch, whose parts took other paths, and
    all processes update the same weights.
    """
    sizes = [used_sizes(one) for one in parameters]
    with exchanging():
        here = torch.tensor([float(size) for each in sizes for size in each])
        largest = cast(Tensor, fabric.all_reduce(here, reduce_op="max")).long().cpu()
    parts = largest.split_with_sizes([len(each) for each in sizes])
    for parameter, anywhere in zip(parameters, parts, strict=True):
        if not anywhere.all():
            continue
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        if parameter.dim():
            use(parameter, *anywhere.tolist())


def used_sizes(parameter: nn.Parameter) -> tuple[int, ...]:
    """The size of the slice that a step used, in each dimension; zeros for none.

    Args:
        parameter (nn.Parameter): parameter after a backward pass.

    Example:
        >>> weight = nn.Parameter(torch.ones(4, 3))
        >>> used_sizes(weight)
        (0, 0)
        >>> use(weight, 2).sum().backward()
        >>> used_sizes(weight)
        (2, 3)
    """
    if parameter.grad is None:
        # A single number has no sizes, and is used as a whole.
        return (0,) * max(parameter.dim(), 1)
    shape = tuple(parameter.shape) or (1,)
    recorded = region(parameter)
    return *recorded, *shape[len(recorded) :]
