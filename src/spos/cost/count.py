"""Multiply-adds and parameters of a stand-alone module."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from spos.errors import UserError

#: What is counted, in the order of every cost vector. The field prints multiply-adds as "FLOPs".
COSTS = ("flops", "params")


def count(module: nn.Module, inputs: Any) -> tuple[tuple[int, int], Any]:
    """Count one forward of a module on the meta device.

    Args:
        module: a module on the meta device.
        inputs: a meta tensor, or a tuple of them.

    Returns:
        The multiply-adds and the parameters, and the module's output as meta tensors.

    Raises:
        UserError: the module does not run on the input.

    Example:
        >>> with torch.device("meta"):
        ...     costs, output = count(nn.Conv2d(3, 8, 3), torch.empty(1, 3, 10, 10))
        >>> costs, output.shape
        ((13824, 224), torch.Size([1, 8, 8, 8]))
    """
    module.eval()
    arguments = inputs if isinstance(inputs, tuple) else (inputs,)
    try:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            output = module(*arguments)
    except (RuntimeError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in arguments)
        raise UserError(
            f"{type(module).__name__} does not run on input of shape {shapes}: {reason}"
        ) from error
    # The counter counts a multiply-add as two operations.
    flops = counter.get_total_flops() // 2
    return (flops, sum(parameter.numel() for parameter in module.parameters())), output


def count_network(network: nn.Module, input_shape: Sequence[int]) -> dict[str, int]:
    """Count a whole stand-alone network for one input.

    Args:
        network: any module; it is left as it is.
        input_shape: of one input, without the batch.

    Returns:
        ``{"flops": multiply-adds, "params": parameters}``.

    Example:
        >>> count_network(nn.Linear(10, 5), (10,))
        {'flops': 50, 'params': 55}
    """


    meta = copy.deepcopy(network).to("meta")
    costs, _ = count(meta, torch.empty(1, *input_shape, device="meta"))
    return dict(zip(COSTS, costs, strict=True))
