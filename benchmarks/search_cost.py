"""What a training step costs in time and memory, by how many options a layer has.

A stand-alone network, SPOS, FBNet, DARTS and ProxylessNAS on one space (2 to 9 of FBNet's options
in every layer), the same data, batch and machine. Steps of all five take turns, so that a drift of
the machine falls on all alike; the paths of SPOS and the stand-alone networks are the same
architectures. Peak memory is that of a fresh process each.

    python benchmarks/search_cost.py --data folder:data/cifar10-train.zip \\
        --out benchmarks/results/search_cost
"""

from __future__ import annotations

import argparse
import ctypes
import itertools
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from record import write_record
from torch import Tensor, nn

from spos import CostTable, OneOf, Supernet
from spos.cost.expected import ExpectedCost
from spos.data import ImageData, load_data, training_batches
from spos.spaces._mobile import MobileLayout, mobile_network
from spos.spaces._stages import Place
from spos.spaces.fbnet import candidate
from spos.training import METHODS, Method, Recipe
from spos.training.loop import make_optimizer
from spos.training.method import WholeNetwork
from spos.training.methods.uniform import uniform_paths
from spos.training.recipe import DifferentiableSettings
from spos.training.theta import ThetaParts

LAYOUT = MobileLayout(
    image_size=32,
    stem_channels=16,
    stem_stride=2,
    channels=(16, 32, 64),
    depths=(3, 3, 3),
    strides=(1, 2, 2),
    head_channels=256,
)
BATCH = 64
#: Large and small options by turns: a random path costs about the same whatever their number.
ORDER = (
    *("k3_e3", "k5_e3", "k3_e6", "k3_e1", "k5_e6", "k5_e1", "k3_e1_g2", "k5_e1_g2"),
    "skip",
)
#: Different architectures that SPOS and the stand-alone networks go through.
PATHS = 16
TRAININGS = ("stand-alone", "spos", "fbnet", "darts", "proxylessnas")
#: Weight steps for each theta step: with a fifth of the images for theta, a pass over all.
EVERY = 4
SEED = 0


def space(options: int) -> Supernet:
    """A supernet whose layers have so many of FBNet's options."""

    def layer(place: Place) -> OneOf:
        return OneOf({name: candidate(name, place) for name in ORDER[:options]}, place.name)

    torch.manual_seed(SEED)
    return Supernet(mobile_network(LAYOUT, layer, classes=10), (3, 32, 32))


class Training:
    """One of the trainings, step by step, as :func:`spos.training.loop.train` does them."""

    def __init__(self, name: str, options: int, data: ImageData, device: str) -> None:
        self._fabric = Fabric(accelerator=device, devices=1)
        self._device = self._fabric.device
        self._data = data
        self._step = 0
        recipe = Recipe(steps=10**6, batch_size=BATCH, learning_rate=0.05)
        supernet = space(options)
        self._loss = nn.CrossEntropyLoss()
        self._models: list[nn.Module] = [supernet]
        if name == "stand-alone":
            paths = [next(uniform_paths(supernet.space, SEED, step)) for step in range(PATHS)]
            self._models = [supernet.subnet(path) for path in paths]
        self._models = [
            model.to(self._device).to(memory_format=torch.channels_last).train()
            for model in self._models
        ]
        self._optimizers = [make_optimizer(model, recipe) for model in self._models]
        given = (self._loss, recipe, SEED)
        self._methods: list[Method]
        if name == "stand-alone":
            self._methods = [WholeNetwork(model, *given) for model in self._models]
        elif name == "spos":
            self._methods = [METHODS["uniform"](supernet, *given)]
        else:
            parts = ThetaParts(
                DifferentiableSettings(warmup=0.0, every=EVERY),
                1000,
                self._batches,
                ExpectedCost(CostTable(supernet), "flops"),
                1e3,
            )
            self._methods = [METHODS[name](supernet, *given, parts=parts)]
        self._images = self._batches(0)

    def _batches(self, start: int) -> Iterator[tuple[Tensor, Tensor]]:
        batches = training_batches(
            self._data,
            self._data.train,
            batch_size=BATCH,
            seed=SEED,
            start=start,
            steps=10**6,
            augment="standard",
            device=self._device,
            rank=0,
            world_size=1,
        )
        for inputs, targets in batches:
            yield inputs.contiguous(memory_format=torch.channels_last), targets

    def step(self) -> None:
        """Train one step."""
        turn = self._step % len(self._models)
        method, optimizer = self._methods[turn], self._optimizers[turn]
        inputs, targets = next(self._images)
        optimizer.zero_grad(set_to_none=True)
        # SPOS goes through the same few architectures again and again.
        again = self._step % PATHS if len(self._models) == 1 else 0
        for one in method.losses(again, inputs, targets):
            one.loss.backward()
        optimizer.step()
        method.after_step(self._step)
        self._step += 1
        if self._device.type == "cuda":
            torch.cuda.synchronize()


def kept_for_backward(work: Callable[[], None]) -> int:
    """The bytes of activations that the backward passes of some work find, at their most."""
    live: dict[int, int] = {}
    most = 0

    def pack(tensor: Tensor) -> Tensor:
        nonlocal most
        if not isinstance(tensor, nn.Parameter):
            live[tensor.untyped_storage()._cdata] = tensor.untyped_storage().nbytes()
            most = max(most, sum(live.values()))
        return tensor

    def unpack(tensor: Tensor) -> Tensor:
        live.pop(tensor.untyped_storage()._cdata, None)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
        work()
    return most


def times(options: int, data: ImageData, rounds: int, device: str) -> dict[str, float]:
    """Seconds of a step of each training, the mean over rounds of all its kinds of steps."""
    trainings = {name: Training(name, options, data, device) for name in TRAININGS}
    spent: dict[str, list[float]] = {name: [] for name in TRAININGS}
    for number in range(rounds + 1):
        for name, training in trainings.items():
            began = time.perf_counter()
            for _ in range(PATHS):
                training.step()
            # The first round warms up.
            if number:
                spent[name].append((time.perf_counter() - began) / PATHS)
    return {name: statistics.median(values) for name, values in spent.items()}


def memory(name: str, options: int, data: ImageData, device: str) -> dict[str, int]:
    """Peak memory of a training in this process: of activations, and above what it began with."""
    training = Training(name, options, data, device)
    # Linux: give back what reading the images took, and forget that peak.
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before = _resident("VmRSS")
    for _ in range(PATHS):
        training.step()
    peak = _resident("VmHWM") - before
    if device == "cuda":
        peak = torch.cuda.max_memory_allocated()
    activations = [kept_for_backward(training.step) for _ in range(PATHS)]
    return {
        "peak": peak,
        "activations": max(activations),
        "mean": int(statistics.fmean(activations)),
    }


def _resident(what: str) -> int:
    status = Path("/proc/self/status").read_text()
    kibibytes = next(line.split()[1] for line in status.splitlines() if line.startswith(what))
    return int(kibibytes) * 1024


def _in_fresh_process(arguments: argparse.Namespace, name: str, options: int) -> dict[str, int]:
    command = [sys.executable, __file__, "--data", arguments.data, "--device", arguments.device]
    command += ["--threads", str(arguments.threads), "--memory-of", f"{name}:{options}"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--options", type=int, nargs="*", default=list(range(2, len(ORDER) + 1)))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--memory-of", help="print the memory of METHOD:OPTIONS as JSON")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    data = load_data(options.data, image_size=32, validation=0.1, test=0.1, seed=SEED)
    if options.memory_of:
        name, _, count = options.memory_of.partition(":")
        print(json.dumps(memory(name, int(count), data, options.device)))
        return
    steps = len(data.train) // BATCH
    rows = []
    for count, name in itertools.product(options.options, TRAININGS):
        if name == TRAININGS[0]:
            seconds = times(count, data, options.rounds, options.device)
            alone = _in_fresh_process(options, name, count)
        held = alone if name == TRAININGS[0] else _in_fresh_process(options, name, count)
        # A pass of a mixture over all images: four fifths for weights, the rest for theta.
        share = 1.0 if name in ("stand-alone", "spos") else EVERY / (EVERY + 1)
        rows.append(
            {
                "options": count,
                "training": name,
                "step": f"{seconds[name] * 1e3:.1f} ms",
                "times stand-alone": f"{seconds[name] / seconds['stand-alone']:.2f}",
                "epoch": f"{seconds[name] * steps * share:.0f} s",
                "activations": f"{held['mean'] / 1e6:.1f} MB",
                "activations, times stand-alone": f"{held['mean'] / alone['mean']:.2f}",
                "peak memory above the start": f"{held['peak'] / 1e6:.0f} MB",
                "seconds": seconds[name],
                "activation_bytes": held["mean"],
                "peak_bytes": held["peak"],
            }
        )
        print(rows[-1], flush=True)
    write(options.out, rows)


def write(out: Path, rows: list[dict[str, Any]]) -> None:
    """The record, and its plot."""
    plot(out / "search_cost.png", rows)
    shown = [
        {k: v for k, v in row.items() if k not in ("seconds", "activation_bytes", "peak_bytes")}
        for row in rows
    ]
    write_record(
        out / "summary", "Cost of a training step by the options of a layer", shown, figures=rows
    )


def plot(path: Path, rows: list[dict[str, Any]]) -> None:
    """Time and activation memory of a step, as multiples of a stand-alone network's."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(10, 4), sharey=True)
    alone = {row["options"]: row for row in rows if row["training"] == TRAININGS[0]}
    for axis, key, label in (
        (axes[0], "seconds", "time of a step"),
        (axes[1], "activation_bytes", "activations kept for the backward pass"),
    ):
        for name, style in zip(TRAININGS, ("k--", "C0o-", "C1s-", "C2^-", "C3d-"), strict=True):
            own = [row for row in rows if row["training"] == name]
            shares = [row[key] / alone[row["options"]][key] for row in own]
            axis.plot([row["options"] for row in own], shares, style, label=name)
        axis.set_xlabel("options in a layer")
        axis.set_title(f"{label}, times stand-alone", fontsize=11)
        axis.set_ylim(bottom=0)
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(axis="y", alpha=0.3)
    axes[0].legend(frameon=False)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
