"""Time and memory of a training step on a GPU: a supernet beside its paths as networks alone.

A part of ``gpu.py``. Each step takes another path; the networks alone are the same paths.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import nn

from spos import Supernet
from spos.spaces import family
from spos.training.loop import make_optimizer
from spos.training.methods.uniform import uniform_paths
from spos.training.recipe import Recipe

Emit = Callable[[dict[str, Any]], None]


class Case(NamedTuple):
    """A supernet and how it is trained; ``paths`` different ones take turns."""

    space: str
    preset: str
    batch: int
    paths: int = 16


class Variant(NamedTuple):
    """How a step computes."""

    tf32: bool
    bf16: bool
    channels_last: bool


CASES = {
    "nasbenchmacro cifar 256": Case("nasbenchmacro", "cifar", 256),
    # Fewer paths where a step is long: a round of 16 would take minutes of the last case.
    "shufflenetv2 cifar 512": Case("shufflenetv2", "cifar", 512, 8),
    "shufflenetv2 imagenet 256": Case("shufflenetv2", "imagenet", 256, 8),
    "shufflenetv2 imagenet 1024": Case("shufflenetv2", "imagenet", 1024, 3),
}
DRY = {
    "shufflenetv2 tiny 4": Case("shufflenetv2", "tiny", 4, 2),
    "nasbenchmacro tiny 4": Case("nasbenchmacro", "tiny", 4, 2),
}
VARIANTS = {
    # Without TF32, as the release of the paper's authors computes.
    "fp32 NCHW": Variant(False, False, False),
    "TF32 NCHW": Variant(True, False, False),
    "TF32 channels_last": Variant(True, False, True),
    "bf16 NCHW": Variant(True, True, False),
    "bf16 channels_last": Variant(True, True, True),
}
REFERENCE = "fp32 NCHW"
#: Measured in these cases alone: whether it is the precision or the memory format that helps.
ONLY = {"TF32 NCHW": ("nasbenchmacro",)}
#: Seconds that one variant may take, when a round is short.
SECONDS = 3.0
RECIPE = Recipe(steps=1, batch_size=1, learning_rate=0.01)


def synchronise(device: torch.device) -> None:
    """Wait for a GPU; nothing to wait for elsewhere."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def set_tf32(allowed: bool) -> None:
    """Whether float32 products may round their factors to TF32."""
    torch.backends.cuda.matmul.allow_tf32 = allowed
    torch.backends.cudnn.allow_tf32 = allowed


def build(case: Case, device: torch.device) -> Supernet:
    """The supernet of a case, with the same weights each time."""
    torch.manual_seed(0)
    spaces = family(case.space)
    classes = 1000 if case.preset == "imagenet" else 10
    return spaces.build(spaces.preset(case.preset), classes=classes).to(device).train()


class Training:
    """Steps of one model or of several in turn, on one batch of noise.

    Args:
        models: a supernet, or the networks alone.
        paths: the architectures that the steps take in turn.
        case: the batch.
        variant: how to compute.
        device: where.
    """

    def __init__(
        self,
        models: list[nn.Module],
        paths: list[Any],
        case: Case,
        variant: Variant,
        device: torch.device,
    ) -> None:
        # Not on a CPU: there it corrupted the heap of tiny trainings (torch 2.13).
        last = variant.channels_last and device.type != "cpu"
        layout = torch.channels_last if last else torch.contiguous_format
        set_tf32(variant.tf32)
        self._models = [model.to(memory_format=layout) for model in models]
        self._optimizers = [make_optimizer(model, RECIPE) for model in models]
        self._paths = paths
        self._variant, self._device = variant, device
        side = family(case.space).preset(case.preset).image_size
        classes = 1000 if case.preset == "imagenet" else 10
        self.images = torch.randn(case.batch, 3, side, side, device=device)
        self.images = self.images.contiguous(memory_format=layout)
        self._targets = torch.randint(classes, (case.batch,), device=device)
        self._loss = nn.CrossEntropyLoss()

    def step(self, number: int) -> None:
        """Train one step."""
        turn = number % len(self._models)
        model, optimizer = self._models[turn], self._optimizers[turn]
        if isinstance(model, Supernet):
            model.activate(self._paths[number])
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._variant.bf16):
            loss = self._loss(model(self.images), self._targets)
        loss.backward()
        optimizer.step()

    def round(self) -> float:
        """Seconds of a step, the mean over one of each path; the GPU may lag behind within it."""
        synchronise(self._device)
        began = time.perf_counter()
        for number in range(len(self._paths)):
            self.step(number)
        synchronise(self._device)
        return (time.perf_counter() - began) / len(self._paths)

    def singly(self) -> dict[str, Any]:
        """One step at a time: when it is issued and when done, and the memory that it needs.

        The memory is that of one of the models at its peak, with its optimiser and the batch.
        """
        gpu = self._device.type == "cuda"
        own, before = 0, 0
        for model, optimizer in zip(self._models, self._optimizers, strict=True):
            optimizer.zero_grad(set_to_none=True)
            tensors = [*model.parameters(), *model.buffers()]
            tensors += [v for state in optimizer.state.values() for v in state.values()]
            own = max(own, sum(t.nbytes for t in tensors if isinstance(t, torch.Tensor)))
        if gpu:
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
        issued, done = [], []
        for number in range(len(self._paths)):
            synchronise(self._device)
            began = time.perf_counter()
            self.step(number)
            issued.append(time.perf_counter() - began)
            synchronise(self._device)
            done.append(time.perf_counter() - began)
            self._optimizers[number % len(self._models)].zero_grad(set_to_none=True)
        found: dict[str, Any] = {"peak MiB": None}
        if gpu:
            peak = own + self.images.nbytes + torch.cuda.max_memory_allocated() - before
            found["peak MiB"] = round(peak / 2**20)
        found["issued after ms"] = round(statistics.median(issued) * 1e3, 3)
        found["done after ms"] = round(statistics.median(done) * 1e3, 3)
        return found


def throughput(cases: dict[str, Case], device: torch.device, deadline: float, emit: Emit) -> None:
    """Measure all cases in all variants, as far as the time goes.

    Args:
        cases: by name.
        device: where.
        deadline: of the monotonic clock, at which nothing new begins.
        emit: takes each row.
    """
    for name, case in cases.items():
        supernet = build(case, device)
        paths = [next(uniform_paths(supernet.space, 0, step)) for step in range(case.paths)]
        alone = [supernet.extract(path).train() for path in paths]
        first: dict[str, float] = {}
        for title, variant in VARIANTS.items():
            if case.space not in ONLY.get(title, (case.space,)):
                continue
            row = {"case": name, "variant": title}
            if time.monotonic() > deadline:
                emit({**row, "error": "skipped: no time left"})
                continue
            try:
                found = _measure(supernet, alone, paths, case, variant, device)
            except Exception as error:  # Out of memory, too; the rest is still measured.
                emit({**row, "error": f"{type(error).__name__}: {str(error)[:300]}"})
                found = {}
            for what, values in found.items():
                if title == REFERENCE:
                    first[what] = values["ms"]
                speedup = round(first[what] / values["ms"], 3) if what in first else None
                emit(
                    {
                        **row,
                        "model": what,
                        **values,
                        "to alone": round(values["ms"] / found["alone"]["ms"], 3),
                        f"speed-up on {REFERENCE}": speedup,
                    }
                )
            if device.type == "cuda":
                torch.cuda.empty_cache()
        del supernet, alone


def _measure(
    supernet: Supernet,
    alone: list[nn.Module],
    paths: list[Any],
    case: Case,
    variant: Variant,
    device: torch.device,
) -> dict[str, dict[str, Any]]:
    trainings = {
        "supernet": Training([supernet], paths, case, variant, device),
        "alone": Training(alone, paths, case, variant, device),
    }
    spent: dict[str, list[float]] = {what: [] for what in trainings}
    for training in trainings.values():
        training.round()
    began = time.monotonic()
    while not spent["alone"] or time.monotonic() - began < SECONDS * 0.7:
        for what, training in trainings.items():
            spent[what].append(training.round())
        if device.type == "cpu" or len(spent["alone"]) >= 15:
            break
    found = {}
    for what, training in trainings.items():
        seconds = statistics.median(spent[what])
        found[what] = {
            "images/s": round(case.batch / seconds),
            "ms": round(seconds * 1e3, 3),
            **training.singly(),
            "rounds": len(spent[what]),
        }
    return found
