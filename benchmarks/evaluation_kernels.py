"""How fast one network is validated by different kernels, and what each takes to be prepared.

Random networks of a space, with the batch norms of a supernet that has not been trained: time does
not depend on the weights. Every candidate of a search is another network, so what is prepared for
one has to pay within its few thousand images. All variants take turns, on one thread; their
time is that of the process, that of preparing them is wall time.

Options can be compiled once for all candidates, with weights as inputs: what that takes, and after
how many candidates it pays, is a table of its own.

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
from record import write_tables
from torch import Tensor, fx, nn
from torch.func import functional_call
from torch.fx.experimental.proxy_tensor import make_fx

from spos import Architecture
from spos._util.randomness import generator
from spos.nn.supernet import Supernet
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


def layers_of(supernet: Supernet, architecture: Architecture, memory: Any) -> nn.Sequential:
    """The layers of a network, with weights of its own."""
    parts = (supernet.extract(architecture, stage) for stage in supernet.stages)
    return copy.deepcopy(nn.Sequential(*parts)).eval().to(memory_format=memory)


class CompiledOptions:
    """Options of layers, each compiled by inductor for its shapes and shared by all candidates.

    What is compiled has weights as inputs and no guards: it cannot be compiled again by itself.
    """

    def __init__(self) -> None:
        #: What was compiled and an output of it, by what it computes and the shape of its input.
        self.known: dict[tuple[str, tuple[int, ...]], tuple[Callable[..., Any], Tensor]] = {}
        self.complete = False
        self.seconds = 0.0

    def compile_all(self, supernet: Supernet, images: Tensor) -> None:
        """Compile every option of every layer."""
        counts = supernet.space.option_counts
        for option in range(max(counts)):
            chosen = Architecture(min(option, count - 1) for count in counts)
            self(layers_of(supernet, chosen, torch.channels_last), images)
        self.complete = True

    def __call__(self, network: nn.Module, images: Tensor) -> Network:
        """Fold a network layer by layer, and take its layers from those that were compiled."""
        assert isinstance(network, nn.Sequential)
        layers: list[tuple[Callable[..., Any], list[Tensor]]] = []
        x = images
        for layer in network:
            fold(layer, foldable(layer))
            # Buffers too, of batch norms that were not folded.
            tensors = dict(layer.named_parameters()) | dict(layer.named_buffers())
            run, x = self._find(layer, tensors, x)
            layers.append((run, list(tensors.values())))

        def forward(x: Tensor) -> Tensor:
            for run, weights in layers:
                (x,) = run(*weights, x)
            return x

        return forward

    def _find(
        self, layer: nn.Module, tensors: dict[str, Tensor], x: Tensor
    ) -> tuple[Callable[..., Any], Tensor]:
        key = str(layer), tuple(x.shape)
        if key not in self.known:
            assert not self.complete, f"{key} was not compiled with the others"
            began = time.perf_counter()

            def function(*inputs: Tensor) -> tuple[Tensor]:
                weights = dict(zip(tensors, inputs[:-1], strict=True))
                return (functional_call(layer, weights, (inputs[-1],)),)

            inputs = [*tensors.values(), x]
            run = torch._inductor.compile(make_fx(function)(*inputs), inputs)
            self.known[key] = run, run(*inputs)[0]
            self.seconds += time.perf_counter() - began
        return self.known[key]


OPTIONS = CompiledOptions()


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
    "options compiled once, folded": (True, OPTIONS),
    "ONNX Runtime, folded": (True, by_onnxruntime),
}


#: What a candidate is validated by today, and what options compiled once would take the place of.
TODAY, ONCE = "channels_last, folded", "options compiled once, folded"
#: Candidates of a search.
CANDIDATES = 300


def measure(options: argparse.Namespace) -> dict[str, list[dict[str, Any]]]:
    """Milliseconds of each kernel, median over networks and turns, and what compiling takes."""
    torch.set_num_threads(1)
    layout = family(options.space).preset(options.preset)
    torch.manual_seed(0)
    supernet = family(options.space).build(layout, classes=10).eval()
    images = torch.randn(options.batch, *supernet.input_shape)
    count = -(-options.images // options.batch)
    if ONCE in options.kernels:
        with torch.no_grad():
            OPTIONS.compile_all(supernet, images.contiguous(memory_format=torch.channels_last))
    networks = [
        layers_of(
            supernet,
            supernet.space.sample(generator(0, "kernels", number)),
            torch.contiguous_format,
        )
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
                    began = time.process_time()
                    for _ in range(count):
                        made(inputs)
                    took.setdefault(name, []).append(time.process_time() - began)
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
    tables = {"Kernels": rows}
    if ONCE in options.kernels and TODAY in options.kernels:
        each = {
            name: statistics.median(took[name]) + statistics.median(prepared[name])
            for name in (TODAY, ONCE)
        }
        gain = each[TODAY] - each[ONCE]
        total = OPTIONS.seconds + CANDIDATES * each[ONCE]
        tables["Options compiled once"] = [
            {
                "options compiled": len(OPTIONS.known),
                "seconds": f"{OPTIONS.seconds:.0f}",
                "pays after candidates": f"{OPTIONS.seconds / gain:.0f}" if gain > 0 else "never",
                f"validation of {CANDIDATES}, to today's": (
                    f"{total / (CANDIDATES * each[TODAY]):.2f}"
                ),
            }
        ]
    return tables


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
    write_tables(options.out / "summary", "Kernels of validation", measure(options))


if __name__ == "__main__":
    main()
