"""Memory needs of a deployed network: peak activations and the size of the weights."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from spos.cost.count import size_in_bits
from spos.cost.part import run


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
    live = _Live(tensor.untyped_storage()._cdata for tensor in own)

    def forward(value: Any) -> Any:
        with live:
            return _run_graph(network, value)

    output = run(network, value, forward)
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
        traced = fx.symbolic_trace(network)
    except Exception:
        # A user's module that cannot be traced runs as it is.
        return network(_empty_copy(value))
    # The caller keeps the original input alive. A copy that only the graph references is freed
    # after its last use.
    [place] = [node for node in traced.graph.nodes if node.op == "placeholder"][:1]
    interpreter = fx.Interpreter(traced)
    return interpreter.run(initial_env={place: _empty_copy(value)}, enable_io_processing=False)


def _empty_copy(value: Any) -> Any:
    return tree_map(lambda x: torch.empty_like(x) if isinstance(x, Tensor) else x, value)


class _Live(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Tracks the storages that operations allocate, until they are freed."""

    def __init__(self, own: Any) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._seen = set(own)
        self._now = 0
        self.peak = 0

    def hold(self, value: Any) -> None:
        """Count the storages of a value that are not counted yet."""
        for leaf in tree_leaves(value):
            if not isinstance(leaf, Tensor):
                continue
            storage = leaf.untyped_storage()
            key, size = storage._cdata, storage.nbytes()
            if key not in self._seen:
                self._seen.add(key)
                self._now += size
                self.peak = max(self.peak, self._now)
                weakref.finalize(storage, self._free, key, size)

    def _free(self, key: int, size: int) -> None:
        self._seen.discard(key)
        self._now -= size

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[Any],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        self.hold(output)
        return output
