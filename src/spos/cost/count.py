"""Multiply-adds and parameters of a stand-alone module."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from spos.errors import UserError

#: What is counted, in the order of every cost vector. The field prints multiply-adds as "FLOPs".
COSTS = ("flops", "params")

Module = TypeVar("Module", bound=nn.Module)


def on_meta(module: Module) -> Module:
    """A copy without values: it runs on tensors of the meta device, and takes no memory.

    Args:
        module: any module; parameters that it shares between modules stay shared in the copy.

    Example:
        >>> on_meta(nn.Linear(2, 3)).weight.device
        device(type='meta')
    """
    memo: dict[int, Any] = {id(buffer): buffer.to("meta") for buffer in module.buffers()}
    for parameter in module.parameters():
        empty = parameter.detach().to("meta")
        memo[id(parameter)] = nn.Parameter(empty, parameter.requires_grad)
    return copy.deepcopy(module, memo)


def count(module: nn.Module, value: Any) -> tuple[tuple[int, int], Any]:
    """Count one forward of a module on the meta device, in evaluation mode.

    Args:
        module: a module on the meta device.
        value: its input: a meta tensor, or whatever of meta tensors it reads.

    Returns:
        The multiply-adds and the parameters, and the module's output.

    Raises:
        UserError: the module does not run on the input.

    Example:
        >>> costs, output = count(on_meta(nn.Conv2d(3, 8, 3)), torch.empty(1, 3, 10, 10).to("meta"))
        >>> costs, output.shape
        ((13824, 224), torch.Size([1, 8, 8, 8]))
    """
    module.eval()
    try:
        with torch.no_grad(), FlopCounterMode(display=False) as counter, _NormsSkipped():
            output = module(value)
    except Exception as error:
        given = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else str(type(value))
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(
            f"{type(module).__name__} does not run on input of {given}: {reason}"
        ) from error
    # The counter counts a multiply-add as two operations.
    flops = counter.get_total_flops() // 2
    return (flops, sum(parameter.numel() for parameter in module.parameters())), output


class _NormsSkipped(TorchFunctionMode):
    # Batch norms have no multiply-adds by the field's count, but on the meta device each of them
    # becomes some thirty operations, which take longer than all convolutions.
    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func is F.batch_norm:
            inputs, mean = args[:2]
            if mean is not None and len(mean) != inputs.shape[1]:
                raise RuntimeError(
                    f"batch norm of {len(mean)} channels on input with {inputs.shape[1]}"
                )
            return torch.empty_like(inputs)
        return func(*args, **(kwargs or {}))


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
    costs, _ = count(on_meta(network), torch.empty(1, *input_shape, device="meta"))
    return dict(zip(COSTS, costs, strict=True))
