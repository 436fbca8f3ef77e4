"""How fast one network is validated by different kernels, and what each takes to be prepared.

Random networks of a space, with the batch norms of a supernet that has not been trained: time does
not depend on the weights. Every candidate of a search is another network, so what is prepared for
one has to pay within its few thousand images. All variants take turns, on one thread.

    python benchmarks/evaluation_kernels.py --out benchmarks/results/evaluation/kernels
"""

from __future__ import annotations

import argparse
import copy
import logging
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from record import write_record
from torch import Tensor, fx, nn

from spos._util.randomness import generator
from spos.search.folding import fold, foldable
from spos.spaces import family

Network = Callable[[Tensor], Any]
#: What makes a network fast: from it and its images to what computes the same.
Prepare = Callable[[nn.Module, Tensor], Network]


class Fused(nn.Module):
    """A convolution that applies what follows it while its outputs are in the cache."""

    def __init__(self, convolution: nn.Conv2d, activation: str) -> None:
        super().__init__()
        self.convolution, self.activation = convolution, activation

    def forward(self, x: Tensor) -> Tensor:
        one = self.convolution
        padding, stride, dilation = (
            list(map(int, v)) for v in (one.padding, one.stride, one.dilation)
        )
        result: Tensor = torch.ops.mkldnn._convolution_pointwise(
            x, one.weight, one.bias, padding, stride, dilation, one.groups, self.activation, [], ""
        )
        return result


def folded(network: nn.Module, _: Tensor) -> nn.Module:
    fold(network, foldable(network))
    return network


def fused(network: nn.Module, images: Tensor) -> nn.Module:
    """Folded, with every ReLU that alone follows a convolution computed by it (oneDNN)."""
    graph = fx.symbolic_trace(folded(network, images))
    modules = dict(graph.named_modules())
    for node in list(graph.graph.nodes):
        if node.op != "call_module" or type(modules[node.target]) is not nn.Conv2d:
            continue
        activation, (user, *others) = "none", list(node.users)
        if not others and user.op == "call_module" and type(modules[user.target]) is nn.ReLU:
            activation = "relu"
            user.replace_all_uses_with(node)
            graph.graph.erase_node(user)
        graph.set_submodule(node.target, Fused(modules[node.target], activation))
    graph.recompile()
    return graph


def compiled(network: nn.Module, images: Tensor) -> Network:
    """By inductor, with the weights as constants."""
    import torch._inductor.config as inductor

    torch._dynamo.reset()
    with inductor.patch(freezing=True):
        result = torch.compile(network)
        result(images)
    return result


def by_onnxruntime(network: nn.Module, images: Tensor) -> Network:
    """Folded, exported, and run by ONNX Runtime."""
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "network.onnx")
        torch.onnx.export(
            folded(network, images), (images.contiguous(),), path, dynamo=True, verbose=False
        )
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = settings.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(path, settings, ["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda x: torch.from_numpy(session.run(None, {name: x.contiguous().numpy()})[0])


def halved(network: nn.Module, images: Tensor) -> Network:
    """Folded, in bfloat16."""
    half = folded(network, images).to(torch.bfloat16)
    return lambda x: half(x.to(torch.bfloat16)).float()


KERNELS: dict[str, tuple[bool, Prepare]] = {
    "NCHW": (False, lambda network, _: network),
    "channels_last": (True, lambda network, _: network),
    "channels_last, folded": (True, folded),
    "channels_last, folded, ReLU fused": (True, fused),
    "channels_last, folded, bfloat16": (True, halved),
    "torch.compile, frozen": (True, compiled),
    "ONNX Runtime, folded": (True, by_onnxruntime),
}


def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Milliseconds of each kernel, median over networks and turns."""
    torch.set_num_threads(1)
    layout = family(options.space).preset(options.preset)
    torch.manual_seed(0)
    supernet = family(options.space).build(layout, classes=10).eval()
    images = torch.randn(options.batch, *supernet.input_shape)
    count = -(-options.images // options.batch)
    networks = [
        supernet.extract(supernet.space.sample(generator(0, "kernels", number))).eval()
        for number in range(options.networks)
    ]
    took: dict[str, list[float]] = {}
    prepared: dict[str, list[float]] = {}
    apart: dict[str, float] = {}
    for network in networks:
        ready = {}
        with torch.no_grad():
            expected = network(images)
            for name in options.kernels:
                last, prepare = KERNELS[name]
                memory: Any = torch.channels_last if last else torch.contiguous_format
                inputs = images.contiguous(memory_format=memory)
                own = copy.deepcopy(network).to(memory_format=memory)
                began = time.perf_counter()
                made = prepare(own, inputs)
                prepared.setdefault(name, []).append(time.perf_counter() - began)
                difference = float((made(inputs) - expected).abs().max() / expected.abs().max())
                apart[name] = max(apart.get(name, 0), difference)
                ready[name] = made, inputs
            for _ in range(options.rounds):
                for name, (made, inputs) in ready.items():
                    began = time.perf_counter()
                    for _ in range(count):
                        made(inputs)
                    took.setdefault(name, []).append(time.perf_counter() - began)
    base = statistics.median(took[options.kernels[0]])
    rows = []
    for name in options.kernels:
        seconds, preparing = statistics.median(took[name]), statistics.median(prepared[name])
        rows.append(
            {
                "kernels": name,
                f"ms for {count * options.batch} images": f"{1000 * seconds:.0f}",
                "to the first": f"{seconds / base:.2f}",
                "ms to prepare": f"{1000 * preparing:.0f}",
                "both, to the first": f"{(seconds + preparing) / base:.2f}",
                "largest relative difference": f"{apart[name]:.0e}",
            }
        )
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--space", default="mobile")
    parser.add_argument("--preset", default="small")
    parser.add_argument("--networks", type=int, default=5)
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kernels", nargs="*", default=list(KERNELS), choices=list(KERNELS))
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    with suppress(AttributeError):
        torch._logging.set_logs(all=logging.ERROR)
    write_record(options.out / "summary", "Kernels of validation", measure(options))


if __name__ == "__main__":
    main()
