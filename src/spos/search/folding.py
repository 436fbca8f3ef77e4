"""Batch norms folded into the layers before them, so that validation takes less time.

In evaluation mode a batch norm is a factor and an offset of each channel, which the weights of the
convolution before it can have instead.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from spos.nn.tracing import trace

#: The name of a layer, and that of the batch norm that alone reads its output.
Pair = tuple[str, str]

# Not linear layers: of tokens, their channels are not those of a batch norm.
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def foldable(module: nn.Module) -> tuple[Pair, ...]:
    """Find the batch norms that can be folded.

    Args:
        module (nn.Module): module whose forward torch.fx can trace; of another one none is folded.

    Returns:
        The layers and their batch norms.

    Example:
        >>> foldable(nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU()))
        (('0', '1'),)
    """
    try:
        graph = trace(module)
    # The forward of a user's model may raise anything when it is traced.
    except Exception:
        return ()
    modules = dict(module.named_modules(remove_duplicate=False))
    calls = Counter(id(modules[str(n.target)]) for n in graph.nodes if n.op == "call_module")

    # Their weights are used as they are as well.
    read = {
        id(modules.get(str(n.target).rpartition(".")[0])) for n in graph.nodes if n.op == "get_attr"
    }

    def plain(node: fx.Node, kinds: tuple[type[nn.Module], ...]) -> bool:
        if node.op != "call_module":
            return False
        called = modules[str(node.target)]
        hooks = called._forward_hooks or called._forward_pre_hooks
        # A subclass may compute something else, and a parametrised module is one.
        alone = calls[id(called)] == 1 and id(called) not in read and not hooks
        return type(called) in kinds and alone

    found = []
    for node in graph.nodes:
        if plain(node, _CONVOLUTIONS) and len(node.users) == 1:
            (user,) = node.users
            if plain(user, _NORMS) and modules[str(user.target)].running_mean is not None:
                found.append((str(node.target), str(user.target)))
    return tuple(found)


def fold(module: nn.Module, pairs: tuple[Pair, ...]) -> None:
    """Fold batch norms into the layers before them.

    Args:
        module (nn.Module): module in evaluation mode, changed in place.
        pairs (tuple): what :func:`foldable` found in it, or in another one of the same structure.

    Example:
        >>> module = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU()).eval()
        >>> fold(module, foldable(module))
        >>> module[1](1.0)
        1.0
    """
    for name, follower in pairs:
        layer: Any = module.get_submodule(name)
        norm: Any = module.get_submodule(follower)
        layer.weight, layer.bias = fuse_conv_bn_weights(
            layer.weight,
            layer.bias,
            norm.running_mean,
            norm.running_var,
            norm.eps,
            norm.weight,
            norm.bias,
        )
        # It stays where it is: the forward may call it by any of several names, and read its size.
        norm.forward = _unchanged


def _unchanged(inputs: Tensor) -> Tensor:
    return inputs
