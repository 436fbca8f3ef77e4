"""A trained network prepared for a file: normalisation included, batch norms folded."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from spos.export.metadata import Metadata
from spos.nn.tracing import one_graph
from spos.search.folding import foldable


class Deployed(nn.Module):
    """A network that reads the pixels of decoded images.

    It normalises like evaluation, by the same operations in the same order: outputs are the same
    bits.

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
    """Trace a trained network as one graph from pixels to outputs.

    Raises:
        UserError: the network cannot be traced.
    """
    with one_graph("the network", ": it cannot be exported"):
        graph = fx.symbolic_trace(Deployed(network, metadata).eval())
    for node in graph.graph.nodes:
        # Type annotations are names that the written source would have to import.
        node.type = None
    graph.recompile()
    graph.eval()
    return fold_batch_norms(graph) if fold else graph


def fold_batch_norms(graph: fx.GraphModule) -> fx.GraphModule:
    """Fold every batch norm into the convolution before it, where nothing else reads that.

    A batch norm in evaluation is linear: the convolution does the same with other weights, and the
    outputs differ by rounding only. Quantised convolutions are left as they are: their weights have
    few levels, which another scale for each channel would not keep.

    ``torch.fx.experimental.optimization.fuse`` is not used: it also folds modules that run at two
    places of the graph.

    Example:
        >>> layers = nn.Sequential(nn.Conv2d(1, 2, 3, bias=False), nn.BatchNorm2d(2)).eval()
        >>> [type(part).__name__ for part in fold_batch_norms(fx.symbolic_trace(layers)).children()]
        ['Conv2d']
    """
    folded = copy.deepcopy(graph)
    convolutions = {norm: convolution for convolution, norm in foldable(folded)}
    for node in list(folded.graph.nodes):
        convolution = convolutions.get(str(node.target)) if node.op == "call_module" else None
        if convolution is None:
            continue
        layer: Any = folded.get_submodule(convolution)
        norm: Any = folded.get_submodule(str(node.target))
        folded.set_submodule(convolution, fuse_conv_bn_eval(layer, norm))
        node.replace_all_uses_with(node.args[0])
        folded.graph.erase_node(node)
    folded.delete_all_unused_submodules()
    folded.recompile()
    return folded.eval()


def rounds(graph: fx.GraphModule) -> bool:
    """Whether a network rounds values, as quantised networks do.

    Example:
        >>> rounds(fx.symbolic_trace(nn.ReLU()))
        False
    """
    return any(
        getattr(node.target, "__name__", node.target) == "round" for node in graph.graph.nodes
    )
