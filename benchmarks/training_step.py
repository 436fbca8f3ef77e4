"""How fast a step of a supernet trains one path on a CPU, by what is done about slow kernels.

All ways take turns on the same random paths and images, on one thread. The time of a step is that
of the process: of each path the least over the rounds, which other work disturbs least, and the
mean over the paths. What `torch.compile` would bring is measured on single options and on batch
norms with the ReLU after them, since compiling all of a supernet takes longer than many trainings.

    python benchmarks/training_step.py --out benchmarks/results/training_step
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from record import write_tables
from torch import Tensor, nn
from torch.nn import functional as F

from spos import Architecture
from spos._util.randomness import generator
from spos.nn.one_of import OneOf
from spos.nn.supernet import Supernet
from spos.spaces import family
from spos.training import backward

CPU = torch.device("cpu")
#: Space, preset and images of a step.
CASES = (
    ("mobile", "small", 32),
    ("mobile", "cifar", 64),
    ("shufflenetv2", "small", 48),
    ("shufflenetv2", "cifar", 64),
    ("shufflenetv2-joint", "small", 48),
    ("proxylessnas", "cifar", 32),
    ("shufflenetv2", "imagenet", 2),
)


@contextmanager
def plain(_: nn.Module) -> Iterator[None]:
    yield


@contextmanager
def depthwise(supernet: nn.Module) -> Iterator[None]:
    others = patch.multiple(backward, ELEMENTWISE=(), Halves=type(None))
    with others, backward.fast_backward(supernet, CPU):
        yield


@contextmanager
def spos(supernet: nn.Module) -> Iterator[None]:
    with backward.fast_backward(supernet, CPU):
        yield


@contextmanager
def lower(way: Callable[[nn.Module], Any], supernet: nn.Module) -> Iterator[None]:
    with way(supernet), torch.autocast("cpu", torch.bfloat16):
        yield


TWO_PATHS = "spos, two paths, half of the images each"
WAYS: dict[str, Callable[[nn.Module], Any]] = {
    "torch": plain,
    "depthwise kernels cut": depthwise,
    "and gradients written once, in one format: spos": spos,
    "torch, bfloat16": lambda supernet: lower(plain, supernet),
    "spos, bfloat16": lambda supernet: lower(spos, supernet),
    TWO_PATHS: spos,
}
#: Images of batch norms that are compiled with the ReLU after them.
NORMALISED = ((32, 48, 16, 16), (32, 96, 8, 8), (32, 192, 4, 4))


class Steps:
    """Steps of a supernet on random images.

    Args:
        case: space, preset and images of a step.
        paths: number of paths.
    """

    def __init__(self, case: tuple[str, str, int], paths: int) -> None:
        space, preset, images = case
        layout = family(space).preset(preset)
        self.supernet: Supernet = family(space).build(layout, classes=10).train()
        self.supernet.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        random = generator(0, "training step")
        self.paths = [Architecture(one) for one in self.supernet.space.sample_many(paths, random)]
        size = layout.image_size
        self.images = torch.randn(images, 3, size, size).to(memory_format=torch.channels_last)
        self.targets = torch.arange(images) % 10
        self.optimizer = torch.optim.SGD(self.supernet.parameters(), 0.01, 0.9, nesterov=True)

    def step(self, paths: Sequence[Architecture], way: Callable[[nn.Module], Any]) -> float:
        """Seconds of the process for one step, of which each path trains as many images."""
        parts = zip(
            paths, self.images.chunk(len(paths)), self.targets.chunk(len(paths)), strict=True
        )
        with ExitStack() as stack:
            stack.enter_context(way(self.supernet))
            began = time.process_time()
            self.optimizer.zero_grad(set_to_none=True)
            for path, images, targets in parts:
                self.supernet.activate(path)
                loss = F.cross_entropy(self.supernet(images).float(), targets) / len(paths)
                loss.backward()
            self.optimizer.step()
            return time.process_time() - began


def compare_steps(case: tuple[str, str, int], paths: int, rounds: int) -> dict[str, Any]:
    """Time of a step by each way, relative to that of torch."""
    steps = Steps(case, paths)
    least: dict[str, list[float]] = {}
    for name, way in WAYS.items():
        # A warm-up, which nobody counts.
        steps.step(steps.paths[:1], way)
        least[name] = [float("inf")] * len(steps.paths)
    for _ in range(rounds):
        for index in range(len(steps.paths)):
            for name, way in WAYS.items():
                chosen = [steps.paths[index]]
                if name == TWO_PATHS:
                    chosen.append(steps.paths[index - 1])
                least[name][index] = min(least[name][index], steps.step(chosen, way))
    whole = {name: sum(times) / len(times) for name, times in least.items()}
    space, preset, images = case
    return {
        "supernet": f"{space}, preset {preset}",
        "images a step": images,
        "ms, torch": round(1e3 * whole["torch"], 1),
        **{name: round(whole[name] / whole["torch"], 2) for name in WAYS if name != "torch"},
    }


def compare_kernels(rounds: int) -> list[dict[str, Any]]:
    """Time of single backward passes by torch, and as spos has them."""

    def least(work: Callable[[], object]) -> float:
        work()
        times = []
        for _ in range(rounds):
            began = time.process_time()
            work()
            times.append(time.process_time() - began)
        return min(times)

    rows: list[dict[str, Any]] = []

    def add(name: str, module: nn.Module, images: Tensor, gradient: Tensor) -> None:
        module.to(images.dtype)

        def work() -> None:
            images.grad = None
            module(images).backward(gradient)

        whole = least(work)
        with backward.fast_backward(module, CPU):
            spent = least(work)
        row = {"backward and forward pass": name, "ms, torch": round(1e3 * whole, 2)}
        rows.append({**row, "spos": round(spent / whole, 2)})

    last = torch.channels_last
    for kind in (torch.float32, torch.bfloat16):
        for kernel, bias in ((3, False), (5, False), (5, True), (7, False)):
            for channels, size in ((96, 16), (192, 8)):
                images = torch.randn(32, channels, size, size, dtype=kind).to(memory_format=last)
                layer = nn.Conv2d(
                    channels, channels, kernel, padding=kernel // 2, groups=channels, bias=bias
                )
                name = f"{kernel}x{kernel} depthwise{' with bias' if bias else ''}, {channels} "
                name += f"channels, {size} pixels, {kind}"
                gradient = torch.ones_like(images)
                add(name.replace("torch.", ""), layer, images.requires_grad_(), gradient)
    for channels, size in ((12, 16), (24, 8), (96, 8)):
        images = torch.randn(48, channels, size, size).to(memory_format=last)
        both = torch.randn(48, 2 * channels, size, size).to(memory_format=last)
        for name, gradient in (
            ("of its format", images.clone()),
            ("of another format", images.contiguous()),
            ("half of the channels", both[:, channels:]),
        ):
            name = f"ReLU, {channels} channels, {size} pixels, gradient {name}"
            add(name, nn.ReLU(), images.detach().requires_grad_(), gradient)
    return rows


def compare_compiled(case: tuple[str, str, int], count: int, rounds: int) -> list[dict[str, Any]]:
    """Time of parts of networks, forward and backward: as spos trains them, and compiled.

    These are single options, and batch norms with the ReLU after them.
    """
    steps = Steps(case, 1)
    layers: list[tuple[OneOf, Tensor]] = []
    hooks = [
        module.register_forward_hook(lambda layer, inputs, _: layers.append((layer, inputs[0])))
        for module in steps.supernet.modules()
        if isinstance(module, OneOf)
    ]
    steps.supernet(steps.images)
    for hook in hooks:
        hook.remove()
    # Layers from the first to the last, and the last option of each.
    layers = layers[:: max(1, len(layers) // max(1, count))][:count]
    parts: list[tuple[str, nn.Module, Tensor]] = [
        (layer.option_names[-1], layer.options[-1], inputs.detach()) for layer, inputs in layers
    ]
    for shape in NORMALISED[:count]:
        images = torch.randn(shape).to(memory_format=torch.channels_last)
        parts.append(
            ("batch norm and ReLU", nn.Sequential(nn.BatchNorm2d(shape[1]), nn.ReLU()), images)
        )
    return [
        {"part": f"{name} of {tuple(images.shape)}", **compare_part(part.train(), images, rounds)}
        for name, part, images in parts
    ]


def compare_part(part: nn.Module, images: Tensor, rounds: int) -> dict[str, Any]:
    """Time of a part of a network, forward and backward, as spos trains it and compiled."""
    images.requires_grad_()
    compiled: Callable[[Tensor], Tensor] = torch.compile(part, dynamic=False)

    def seconds(call: Callable[[Tensor], Tensor]) -> float:
        began = time.process_time()
        outputs = call(images)
        outputs.backward(torch.ones_like(outputs))
        return time.process_time() - began

    began = time.monotonic()
    seconds(compiled)
    spent = time.monotonic() - began
    times = {"spos": float("inf"), "compiled": float("inf")}
    for _ in range(rounds):
        with backward.fast_backward(part, CPU):
            times["spos"] = min(times["spos"], seconds(part))
        times["compiled"] = min(times["compiled"], seconds(compiled))
    return {
        "ms, spos": round(1e3 * times["spos"], 2),
        "compiled": round(times["compiled"] / times["spos"], 2),
        "seconds to compile": round(spent, 1),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--paths", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--compiled", type=int, default=3, help="options, and batch norms with a ReLU, to compile"
    )
    parser.add_argument(
        "--cases",
        nargs="+",
        default=[":".join(map(str, case)) for case in CASES],
        metavar="SPACE:PRESET:IMAGES",
    )
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    cases = [
        (space, preset, int(images))
        for space, preset, images in (case.split(":") for case in options.cases)
    ]
    options.out.mkdir(parents=True, exist_ok=True)
    tables = {
        "steps": [compare_steps(case, options.paths, options.rounds) for case in cases],
        "kernels": compare_kernels(4 * options.rounds),
        "compiled": compare_compiled(cases[0], options.compiled, 4 * options.rounds),
    }
    write_tables(options.out / "summary", "Time of a training step on one CPU thread", tables)


if __name__ == "__main__":
    main()
