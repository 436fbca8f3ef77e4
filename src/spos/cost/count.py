"""Counts of multiply-adds, parameters, bit operations and bits of a stand-alone module."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from spos.cost.part import Costs, Part, on_meta, run
from spos.nn.quantised import FixedBitsConv2d, QuantisedConv2d

#: Costs of every network, in the order of cost vectors.
PLAIN = ("flops", "params")
#: Further costs of networks with quantised layers.
QUANTISED = ("bitops", "model_bits")
#: Bits of a parameter that is not quantised.
FULL_BITS = 32


def cost_names(model: nn.Module) -> tuple[str, ...]:
    """Return the names of a model's costs; costs in bits need a quantised layer.

    Example:
        >>> cost_names(nn.Linear(2, 3))
        ('flops', 'params')
    """
    quantised = (FixedBitsConv2d, QuantisedConv2d)
    if any(isinstance(module, quantised) for module in model.modules()):
        return PLAIN + QUANTISED
    return PLAIN


class Counting:
    """Counter of multiply-adds, parameters and, for quantised layers, bits."""

    peak = False

    def __init__(self, model: nn.Module) -> None:
        self.names = cost_names(model)

    def __call__(self, part: Part) -> tuple[Costs, Any]:
        return count(part.network(), part.value, self.names)


def count(
    module: nn.Module, value: Any, names: tuple[str, ...] = PLAIN
) -> tuple[tuple[int, ...], Any]:
    """Count the costs of one forward pass in evaluation mode on the meta device.

    Args:
        module (nn.Module): module without choices on the meta device.
        value (Any): input of the module: a meta tensor or a nested structure of meta tensors.
        names (tuple[str, ...]): names of the costs to return (:func:`cost_names`).

    Returns:
        The costs in the order of ``names``, and the output of the module.

    Raises:
        UserError: the module does not run on the input.

    Example:
        >>> costs, output = count(on_meta(nn.Conv2d(3, 8, 3)), torch.empty(1, 3, 10, 10).to("meta"))
        >>> costs, output.shape
        ((13824, 224), torch.Size([1, 8, 8, 8]))
    """
    with FlopCounterMode(display=False) as counter:
        output = run(module, value)
    # By the name of a module, with the type of the outermost one in front.
    counts = {name: sum(found.values()) // 2 for name, found in counter.get_flop_counts().items()}
    # A layer with several names counts under one of them.
    bit_operations = sum(
        counts.get(".".join(filter(None, (type(module).__name__, name))), 0)
        * layer.pair.weights
        * layer.pair.activations
        for name, layer in module.named_modules(remove_duplicate=False)
        if isinstance(layer, FixedBitsConv2d)
    )
    counted = {
        # torch counts a multiply-add as two operations.
        "flops": counter.get_total_flops() // 2,
        "params": sum(parameter.numel() for parameter in module.parameters()),
        "bitops": bit_operations,
        "model_bits": size_in_bits(module),
    }
    return tuple(counted[name] for name in names), output


def size_in_bits(module: nn.Module) -> int:
    """Return the size of all parameters in bits.

    A weight shared by two quantised layers counts with the larger of their bit-widths.
    """
    quantised: dict[Tensor, int] = {}
    for layer in module.modules():
        if isinstance(layer, FixedBitsConv2d):
            quantised[layer.weight] = max(layer.pair.weights, quantised.get(layer.weight, 0))
    return sum(p.numel() * quantised.get(p, FULL_BITS) for p in module.parameters())


def count_network(network: nn.Module, input_shape: Sequence[int]) -> dict[str, int]:
    """Count the costs of a stand-alone network for one input.

    Args:
        network (nn.Module): any module; it is not modified.
        input_shape (Sequence[int]): shape of one input without the batch dimension.

    Returns:
        ``{"flops": multiply-adds, "params": parameters}``; for a network with quantised layers also
        ``"bitops"`` and ``"model_bits"``. Traced networks have neither, because tracing replaces
        quantised layers with operations that do not record their bit-widths.

    Example:
        >>> count_network(nn.Linear(10, 5), (10,))
        {'flops': 50, 'params': 55}
    """
    names = cost_names(network)
    costs, _ = count(on_meta(network), torch.empty(1, *input_shape, device="meta"), names)
    return dict(zip(names, costs, strict=True))
