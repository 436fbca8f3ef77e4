"""Counts of a stand-alone module: multiply-adds, parameters, bits, and memory when deployed."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pkgutil import resolve_name
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only
from torch.utils.flop_counter import FlopCounterMode

from spos._util.errors import UserError, explain
from spos._util.libraries import reason
from spos.cost.cost import COSTS, Cost
from spos.cost.formulas import FORMULAS
from spos.cost.part import Costs, Counter, Part, on_meta, run
from spos.nn.quantised import FixedBitsConv2d, QuantisedConv2d
from spos.nn.quantisers import Quantiser
from spos.nn.tracing import trace

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
    has_bits = any(isinstance(module, quantised) for module in model.modules())
    return PLAIN + QUANTISED if has_bits else PLAIN


def default_counter(model: nn.Module) -> Counter:
    """Return the counter of multiply-adds, parameters and, for quantised layers, bits."""
    names = cost_names(model)
    return Counter(names, lambda part: count(part.network(), part.value, names))


def cost_counter(cost: Cost) -> Counter:
    """Return the counter of one cost that has one, for a :class:`spos.cost.CostTable`."""

    def count_part(part: Part) -> tuple[Costs, Any]:
        value, output = _count_own(cost, part.network(), part.value)
        return (value,), output

    return Counter((cost.name,), count_part, cost.aggregation == "peak")


def _count_own(cost: Cost, network: nn.Module, value: Any) -> tuple[int, Any]:
    counter: Any = resolve_name(cost.counter) if isinstance(cost.counter, str) else cost.counter
    try:
        counted, output = counter(network, value)
    # A counter of the user's own may raise anything, or return the number alone.
    except Exception as error:
        if explain(error) is not None:
            raise
        raise UserError(
            f"the counter of the cost {cost.name} failed ({reason(error)}); it must return a whole "
            "number and the output of the network"
        ) from error
    return counted, output


def count(module: nn.Module, value: Any, names: tuple[str, ...] = PLAIN) -> tuple[Costs, Any]:
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
    counting = FlopCounterMode(display=False, custom_mapping=FORMULAS)
    with _not_quantised(module), counting as counter:
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


@contextmanager
def _not_quantised(module: nn.Module) -> Iterator[None]:
    # Quantisers keep the shape and count no multiply-adds, but on the meta device their dozen
    # operations take longer than the convolutions between them.
    quantisers = [part for part in module.modules() if isinstance(part, Quantiser)]
    for quantiser in quantisers:
        quantiser.__dict__["forward"] = _unchanged
    try:
        yield
    finally:
        for quantiser in quantisers:
            del quantiser.__dict__["forward"]


def _unchanged(value: Tensor) -> Tensor:
    return value


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


def count_costs(
    network: nn.Module, input_shape: Sequence[int], names: Iterable[str]
) -> dict[str, int]:
    """Count further costs of a stand-alone network for one input.

    Args:
        network (nn.Module): any module; it is not modified.
        input_shape (Sequence[int]): shape of one input without the batch dimension.
        names (Iterable[str]): costs; those that cannot be counted, such as latency, are left out.

    Returns:
        Costs by name, beside those of :func:`count_network`.

    Example:
        >>> count_costs(nn.Linear(10, 5), (10,), ["model_bytes", "latency"])
        {'flops': 50, 'params': 55, 'model_bytes': 220}
    """
    costs = count_network(network, input_shape)
    value = torch.empty(1, *input_shape, device="meta")
    for name in names:
        cost = COSTS.get(name)
        if name not in costs and cost is not None and cost.counter is not None:
            costs[name], _ = _count_own(cost, on_meta(network), value)
    return costs


def count_peak_memory(network: nn.Module, value: Any) -> tuple[int, Any]:
    """Count the peak memory of activations in the inference of one image, in bytes.

    The count is that of the stand-alone network in eager PyTorch: inputs and outputs of the current
    operation, and tensors kept for later, such as residuals. Weights and the workspace of kernels
    are not counted.

    Returns:
        The peak in bytes, and the output of the network.

    Raises:
        UserError: the network does not run on the input.

    Example:
        >>> network = nn.Sequential(nn.Linear(10, 20), nn.Linear(20, 5)).to("meta")
        >>> count_peak_memory(network, torch.empty(1, 10, device="meta"))[0]
        120
    """
    network.eval()
    own = [*network.parameters(), *network.buffers()]
    with _Live(tensor.untyped_storage()._cdata for tensor in own) as live:
        output = run(network, value, partial(_run_graph, network))
    return live.peak, output


def count_model_bytes(network: nn.Module, value: Any) -> tuple[int, Any]:
    """Count the size of all parameters in bytes, with quantised weights at their bit-width.

    Returns:
        The size in bytes, and the output of the network.

    Raises:
        UserError: the network does not run on the input.
    """
    output = run(network, value)
    return (size_in_bits(network) + 7) // 8, output


def _run_graph(network: nn.Module, value: Any) -> Any:
    """Run a module as its traced graph, in which every value is freed after its last use."""
    try:
        traced = fx.GraphModule(network, trace(network))
    except Exception:
        # A user's module that cannot be traced runs as it is.
        return network(tree_map_only(Tensor, torch.empty_like, value))
    # The caller keeps the original input alive. A copy that only the graph references is freed
    # after its last use.
    [place] = [node for node in traced.graph.nodes if node.op == "placeholder"][:1]
    given = {place: tree_map_only(Tensor, torch.empty_like, value)}
    return fx.Interpreter(traced).run(initial_env=given, enable_io_processing=False)


class _Live(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Tracks the storages that operations allocate, until they are freed."""

    def __init__(self, own: Any) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._seen = set(own)
        self._now = 0
        self.peak = 0

    def _free(self, key: int, size: int) -> None:
        self._seen.discard(key)
        self._now -= size

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        storages = [x.untyped_storage() for x in tree_leaves(output) if isinstance(x, Tensor)]
        for storage in storages:
            key, size = storage._cdata, storage.nbytes()
            if key not in self._seen:
                self._seen.add(key)
                self._now += size
                self.peak = max(self.peak, self._now)
                weakref.finalize(storage, self._free, key, size)
        return output
