"""Multiply-adds and parameters of a stand-alone module, and what they come to in bits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from spos.cost.part import Costs, Part, on_meta, run
from spos.nn.quantised import FixedBitsConv2d, QuantisedConv2d

#: What is counted of every network, in the order of every cost vector.
PLAIN = ("flops", "params")
#: What is counted besides, where layers are quantised.
QUANTISED = ("bitops", "model_bits")
#: The bits of a parameter that is not quantised.
FULL_BITS = 32


def cost_names(model: nn.Module) -> tuple[str, ...]:
    """The costs that a model has: those in bits only where a layer of it is quantised.

    Args:
        model: a supernet, a part of it, or a stand-alone network.

    Example:
        >>> cost_names(nn.Linear(2, 3))
        ('flops', 'params')
    """
    quantised = (FixedBitsConv2d, QuantisedConv2d)
    if any(isinstance(module, quantised) for module in model.modules()):
        return PLAIN + QUANTISED
    return PLAIN


class Counting:
    """Counts multiply-adds and parameters of a part of a supernet, and bits where there are any.

    Args:
        model: as of :func:`cost_names`.
    """

    peak = False

    def __init__(self, model: nn.Module) -> None:
        self.names = cost_names(model)

    def __call__(self, part: Part) -> tuple[Costs, Any]:
        return count(part.network(), part.value, self.names)


def count(
    module: nn.Module, value: Any, names: tuple[str, ...] = PLAIN
) -> tuple[tuple[int, ...], Any]:
    """Count one forward of a module on the meta device, in evaluation mode.

    Args:
        module: a module without choices on the meta device.
        value: its input: a meta tensor, or whatever of meta tensors it reads.
        names: the costs wanted, as by :func:`cost_names`.

    Returns:
        The costs in the order of the names, and the module's output.

    Raises:
        UserError: the module does not run on the input.

    Example:
        >>> costs, output = count(on_meta(nn.Conv2d(3, 8, 3)), torch.empty(1, 3, 10, 10).to("meta"))
        >>> costs, output.shape
        ((13824, 224), torch.Size([1, 8, 8, 8]))
    """
    with (
        FlopCounterMode(display=False) as counter,
        _bit_operations(module, counter) as bit_operations,
    ):
        output = run(module, value)
    counted = {
        "flops": _multiply_adds(counter),
        "params": sum(parameter.numel() for parameter in module.parameters()),
        "bitops": sum(bit_operations),
        "model_bits": size_in_bits(module),
    }
    return tuple(counted[name] for name in names), output


def _multiply_adds(counter: FlopCounterMode) -> int:
    # The counter counts a multiply-add as two operations.
    return counter.get_total_flops() // 2


@contextmanager
def _bit_operations(module: nn.Module, counter: FlopCounterMode) -> Iterator[list[int]]:
    """The bit operations of every run of a quantised layer."""
    found: list[int] = []
    before: list[int] = []

    def enter(layer: nn.Module, inputs: Any) -> None:
        before.append(_multiply_adds(counter))

    def leave(layer: nn.Module, inputs: Any, output: Any) -> None:
        assert isinstance(layer, FixedBitsConv2d)
        multiply_adds = _multiply_adds(counter) - before.pop()
        found.append(multiply_adds * layer.pair.weights * layer.pair.activations)

    layers = [layer for layer in module.modules() if isinstance(layer, FixedBitsConv2d)]
    hooks = [layer.register_forward_pre_hook(enter) for layer in layers]
    hooks += [layer.register_forward_hook(leave) for layer in layers]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


def size_in_bits(module: nn.Module) -> int:
    """The bits of all parameters; of a weight that two layers share, those of the finer one."""
    quantised: dict[Tensor, int] = {}
    for layer in module.modules():
        if isinstance(layer, FixedBitsConv2d):
            finest = max(layer.pair.weights, quantised.get(layer.weight, 0))
            quantised[layer.weight] = finest
    return sum(p.numel() * quantised.get(p, FULL_BITS) for p in module.parameters())


def count_network(network: nn.Module, input_shape: Sequence[int]) -> dict[str, int]:
    """Count a whole stand-alone network for one input.

    Args:
        network: any module; it is left as it is.
        input_shape: of one input, without the batch.

    Returns:
        ``{"flops": multiply-adds, "params": parameters}``; of a network with quantised layers also
        ``"bitops"`` and ``"model_bits"``. A network that is traced has none: its layers are
        operations whose bits nobody knows any more.

    Example:
        >>> count_network(nn.Linear(10, 5), (10,))
        {'flops': 50, 'params': 55}
    """
    names = cost_names(network)
    costs, _ = count(on_meta(network), torch.empty(1, *input_shape, device="meta"), names)
    return dict(zip(names, costs, strict=True))
