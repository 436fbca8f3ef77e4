"""A trained network made ready for a file: the normalisation inside, batch norms folded."""

from __future__ import annotations

import copy
from collections import Counter

import torch
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from spos._util.errors import UserError
from spos.export.metadata import Metadata


class Deployed(nn.Module):
    """A network that reads pixels as they are in a decoded image.

    The normalisation is the one that evaluation does, with the same operations in the same order,
    so that the outputs are the same bits.

    Args:
        network: reads normalised images, float32 [N, C, S, S].
        metadata: says the mean and the deviation to normalise by.

    Example:
        >>> from spos.export.metadata import Metadata
        >>> facts = Metadata("0", "own", 1, 8, 8, 8, (0.5,), (0.5,), (), 1)
        >>> white = torch.full((1, 1, 1, 1), 255, dtype=torch.uint8)
        >>> round(Deployed(nn.Identity(), facts)(white).item(), 3)
        1.0
    """

    scale: Tensor
    offset: Tensor

    def __init__(self, network: nn.Module, metadata: Metadata) -> None:
        super().__init__()
        self.network = network
        mean = torch.tensor(metadata.mean).view(-1, 1, 1)
        deviation = torch.tensor(metadata.std).view(-1, 1, 1)
        self.register_buffer("scale", 1 / (255 * deviation))
        self.register_buffer("offset", -mean / deviation)

    def forward(self, images: Tensor) -> Tensor:
        normalised = torch.addcmul(self.offset, images.to(torch.float32), self.scale)
        outputs: Tensor = self.network(normalised)
        return outputs


def deploy(network: nn.Module, metadata: Metadata, *, fold: bool = True) -> fx.GraphModule:
    """Write a trained network as one graph from pixels to outputs.

    Args:
        network: in evaluation mode; it stays as it is.
        metadata: says how images are normalised.
        fold: put batch norms into the convolutions before them.

    Raises:
        UserError: the network is no graph, or gives something else than one tensor.
    """
    deployed = Deployed(network, metadata).eval()
    try:
        graph = fx.symbolic_trace(deployed)
    except (fx.proxy.TraceError, TypeError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"the network cannot be written as one graph ({reason}): it cannot be exported"
        ) from error
    for node in graph.graph.nodes:
        # Annotations of a forward are names that the written source would have to import.
        node.type = None
    graph.recompile()
    graph.eval()
    return fold_batch_norms(graph) if fold else graph


def fold_batch_norms(graph: fx.GraphModule) -> fx.GraphModule:
    """Put every batch norm that follows a convolution, and nothing else does, into it.

    What the batch norm of an evaluation does is linear, so that the convolution can do it with
    other weights; the outputs differ by rounding alone. Quantised convolutions stay as they are:
    their weights have few levels, which another scale for each channel would not keep.

    Args:
        graph: in evaluation mode; it stays as it is.

    Example:
        >>> layers = nn.Sequential(nn.Conv2d(1, 2, 3, bias=False), nn.BatchNorm2d(2)).eval()
        >>> [type(part).__name__ for part in fold_batch_norms(fx.symbolic_trace(layers)).children()]
        ['Conv2d']
    """
    folded = copy.deepcopy(graph)
    calls = Counter(node.target for node in folded.graph.nodes if node.op == "call_module")
    for node in list(folded.graph.nodes):
        before = node.args[0] if node.op == "call_module" and node.args else None
        if not isinstance(before, fx.Node) or before.op != "call_module":
            continue
        norm, convolution = (folded.get_submodule(str(n.target)) for n in (node, before))
        if type(norm) is not nn.BatchNorm2d or type(convolution) is not nn.Conv2d:
            continue
        # A module that runs at two places has the same weights at both.
        if len(before.users) > 1 or calls[node.target] > 1 or calls[before.target] > 1:
            continue
        folded.set_submodule(str(before.target), fuse_conv_bn_eval(convolution, norm))
        node.replace_all_uses_with(before)
        folded.graph.erase_node(node)
    folded.delete_all_unused_submodules()
    folded.recompile()
    return folded.eval()


def rounds(graph: fx.GraphModule) -> bool:
    """Whether a network rounds what it computes, as quantised ones do.

    Example:
        >>> rounds(fx.symbolic_trace(nn.ReLU()))
        False
    """
    return any(
        getattr(node.target, "__name__", node.target) == "round" for node in graph.graph.nodes
    )
