"""One supernet trained for a fixed time on a GPU, and the one-shot scores of some networks.

A part of ``gpu.py``, run as a process for each variant (see ``gpu_ranking.py``).
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from gpu_throughput import set_tf32, synchronise
from gpu_variants import VARIANTS, Data, Variant, network
from torch import Tensor, nn
from torch.nn import functional as F

from spos import Architecture, OneShotEvaluator, Supernet
from spos._util.randomness import generator, torch_seed
from spos.training.loop import make_optimizer
from spos.training.methods.uniform import uniform_paths
from spos.training.recipe import Recipe

#: The share of the time over which the learning rate rises.
WARMUP = 0.03
#: Bytes for shared activations; several processes share the GPU.
MEMORY = 3 << 30


def gradients(
    supernet: Supernet, method: str, inputs: Tensor, targets: Tensor, seed: int, step: int
) -> Tensor:
    """Accumulate the gradients of a step, and give the loss on the labels of its first path."""
    space = supernet.space
    if method == "fair":
        # Every option of every choice once, as FairNAS has it; gradients add up.
        random = generator(seed, "fair", step)
        orders = [random.permutation(count) for count in space.option_counts]
        paths = [Architecture(map(int, path)) for path in zip(*orders, strict=True)]
    else:
        paths = list(uniform_paths(space, seed, step))
    if method == "sandwich":
        # Options stand in order of size; the small path learns what the largest says.
        supernet.activate([count - 1 for count in space.option_counts])
        outputs = supernet(inputs)
        first = F.cross_entropy(outputs, targets, label_smoothing=0.1)
        first.backward()
        supernet.activate(paths[0])
        student = F.log_softmax(supernet(inputs), 1)
        F.kl_div(student, outputs.detach().softmax(1), reduction="batchmean").backward()
        return first.detach()
    losses = []
    for path in paths:
        supernet.activate(path)
        losses.append(F.cross_entropy(supernet(inputs), targets, label_smoothing=0.1))
        losses[-1].backward()
    return losses[0].detach()


def train(
    supernet: Supernet,
    variant: Variant,
    data: Data,
    layout: torch.memory_format,
    wait: Callable[[], float],
) -> dict[str, Any]:
    """Train for a time; the learning rate follows the share of it that has gone by.

    Args:
        supernet: trained in place, on the device.
        variant: how.
        data: the images.
        layout: the memory format.
        wait: called when everything is ready to begin; says how many seconds to train.

    Raises:
        RuntimeError: the loss is no finite number any more.
    """
    device = data.train[0].device
    # The same as the library's recipe for this data, but for the schedule.
    recipe = Recipe(steps=1, batch_size=variant.batch, learning_rate=variant.rate, nesterov=True)
    optimizer = make_optimizer(supernet, recipe)
    weights = list(supernet.parameters())
    shadow = [weight.detach().clone() for weight in weights] if variant.average else []
    batches = data.batches(variant.batch, variant.seed, layout)
    supernet.train()
    # Kernels are loaded before the clock starts: no step, so that nothing is learned.
    inputs, targets = next(batches)
    for option in range(max(supernet.space.option_counts)):
        supernet.activate([min(option, n - 1) for n in supernet.space.option_counts])
        F.cross_entropy(supernet(inputs), targets).backward()
    synchronise(device)
    seconds = wait()
    curve: list[tuple[int, float]] = []
    step, began = 0, time.monotonic()
    while (share := (time.monotonic() - began) / seconds) < 1:
        rate = variant.rate * (1 + math.cos(math.pi * share)) / 2 * min(1.0, share / WARMUP)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad(set_to_none=True)
        inputs, targets = next(batches)
        loss = gradients(supernet, variant.method, inputs, targets, variant.seed, step)
        used = [weight for weight in weights if weight.grad is not None]
        nn.utils.clip_grad_norm_(used, 5.0)
        optimizer.step()
        if shadow:
            decay = min(variant.average, (step + 1) / (step + 10))
            torch._foreach_lerp_(shadow, [weight.detach() for weight in weights], 1 - decay)
        step += 1
        if step % 50 == 0:
            curve.append((step, round(float(loss), 4)))
            if not math.isfinite(curve[-1][1]):
                raise RuntimeError(f"the loss is {curve[-1][1]} after {step} steps")
    synchronise(device)
    spent = time.monotonic() - began
    with torch.no_grad():
        for weight, mean in zip(weights, shadow or weights, strict=True):
            weight.copy_(mean)
    return {
        "steps": step,
        "seconds": round(spent, 1),
        "images/s": round(step * variant.batch / spent),
        "epochs": round(step * variant.batch / len(data.train[0]), 2),
        "curve": curve[:: max(1, len(curve) // 40)],
    }


class _Both:
    """A metric that adds up the loss and what is correct on the device, without waiting for it."""

    def __init__(self) -> None:
        self.sums: Tensor | float = 0.0
        self.images = 0

    def __call__(self, outputs: Tensor, targets: Tensor) -> float:
        loss = F.cross_entropy(outputs.float(), targets, reduction="sum")
        self.sums = self.sums + torch.stack((loss, (outputs.argmax(1) == targets).sum()))
        self.images += len(targets)
        return 0.0

    def take(self) -> tuple[float, float]:
        """Mean loss and accuracy since the last call."""
        assert isinstance(self.sums, Tensor)
        loss, correct = (self.sums / self.images).tolist()
        self.sums, self.images = 0.0, 0
        return loss, correct


def scores(
    supernet: Supernet,
    chunks: list[list[list[int]]],
    data: Data,
    deadline: float,
    layout: torch.memory_format,
    save: Callable[[dict[str, tuple[float, float]]], None],
) -> None:
    """Save loss and accuracy by architecture after each chunk that is finished at the deadline."""
    calibration, validation = data.parts(layout)
    both = _Both()
    evaluate = OneShotEvaluator(
        supernet, lambda: calibration, lambda: validation, metric=both, memory=MEMORY
    )
    found: dict[str, tuple[float, float]] = {}
    for chunk in chunks:
        part: dict[str, tuple[float, float]] = {}
        for architecture, _ in evaluate([Architecture(options) for options in chunk]):
            part["".join(map(str, architecture))] = both.take()
            if time.monotonic() > deadline:
                return
        found |= part
        save(found)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--variant", required=True)
    parser.add_argument("--number", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--layout", default="channels_last")
    parser.add_argument("--scoring", type=float, required=True)
    parser.add_argument("--dry-run", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    set_tf32(True)
    device = torch.device(options.device)
    variant = VARIANTS[options.variant]
    layout = getattr(torch, options.layout)
    data = Data(options.folder, device)
    torch.manual_seed(torch_seed(variant.seed, "weights"))
    supernet = network(variant, options.dry_run).to(device).to(memory_format=layout)

    def wait() -> float:
        (options.folder / f"ready{options.number}").touch()
        while not (options.folder / "go").exists():
            time.sleep(0.01)
        return float((options.folder / "go").read_text())

    facts = train(supernet, variant, data, layout, wait)
    if device.type == "cuda":
        facts["peak MiB"] = round(torch.cuda.max_memory_allocated() / 2**20)
        torch.cuda.empty_cache()
    chunks = json.loads((options.folder / "chunks.json").read_text())[variant.space]
    began = time.monotonic()

    def save(found: dict[str, tuple[float, float]]) -> None:
        facts["scoring seconds"] = round(time.monotonic() - began, 1)
        # Whole or not at all: the parent may end this process at any time.
        target = options.folder / f"result{options.number}.json"
        target.with_suffix(".part").write_text(json.dumps({"facts": facts, "scores": found}))
        target.with_suffix(".part").replace(target)

    save({})
    scores(supernet, chunks, data, began + options.scoring, layout, save)


if __name__ == "__main__":
    main()
