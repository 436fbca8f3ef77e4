"""What launching costs a supernet on a GPU: every option as a CUDA graph, and whole steps as one.

A part of ``gpu.py``, run in a process of its own, which a failing capture cannot take others along
with. Each option of each layer is captured once and replayed by whatever path has it, so that a
step of any path needs no further capture; ``torch.compile`` of every option is left out, since it
takes minutes. A step of a network alone as one graph is the time that the GPU itself needs.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import torch
from gpu_throughput import CASES, DRY, VARIANTS, Case, Emit, Training, build, synchronise
from torch import Tensor, nn

from spos import OneOf, Supernet
from spos.training.methods.uniform import uniform_paths

ROUNDS = 5
MEASURED = ("TF32 channels_last", "bf16 channels_last")


def capture_options(supernet: Supernet, training: Training, bf16: bool) -> int:
    """Replace every option that has weights by its graphs of forward and backward.

    Args:
        supernet: in training mode, on a GPU; changed in place.
        training: whose batch shows what every layer gets.
        bf16: whether the training computes in it.

    Returns:
        How many options were captured.
    """
    seen: dict[OneOf, Tensor] = {}
    layers = [module for module in supernet.modules() if isinstance(module, OneOf)]

    def look(layer: nn.Module, inputs: tuple[Any, ...]) -> None:
        assert isinstance(layer, OneOf)
        seen[layer] = inputs[0].detach()

    handles = [layer.register_forward_pre_hook(look) for layer in layers]
    device = training.images.device
    with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        supernet(training.images)
    for handle in handles:
        handle.remove()
    captured = 0
    for layer, value in seen.items():
        for option in layer.options:
            if not any(True for _ in option.parameters()):
                continue
            captured += 1
            if device.type == "cuda":
                sample = torch.randn_like(value).requires_grad_()
                # Cast weights must not be kept from one graph to the next.
                with torch.autocast(device.type, torch.bfloat16, enabled=bf16, cache_enabled=False):
                    torch.cuda.make_graphed_callables(option, (sample,))
    return captured


def whole_step(training: Training) -> Callable[[], None]:
    """The training's first step as one graph; the step itself where there is no GPU."""

    def step() -> None:
        training.step(0)

    if training.images.device.type != "cuda":
        return step
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def _milliseconds(device: torch.device, work: Callable[[], None], rounds: int) -> float:
    spent = []
    for _ in range(rounds):
        synchronise(device)
        began = time.perf_counter()
        work()
        synchronise(device)
        spent.append(time.perf_counter() - began)
    return round(statistics.median(spent) * 1e3, 3)


def measure(name: str, case: Case, title: str, device: torch.device, rounds: int) -> dict[str, Any]:
    """Steps of a supernet, as they are and with captured options, and of paths alone as a graph."""
    variant = VARIANTS[title]
    supernet = build(case, device)
    paths = [next(uniform_paths(supernet.space, 0, step)) for step in range(case.paths)]
    row: dict[str, Any] = {"case": name, "variant": title}
    whole = []
    for path in paths[:4]:
        training = Training([supernet.extract(path).train()], [path], case, variant, device)
        whole.append(_milliseconds(device, whole_step(training), rounds))
    row["alone, a step one graph: ms"] = round(statistics.mean(whole), 3)
    training = Training([supernet], paths, case, variant, device)

    def gradient() -> Tensor:
        torch.manual_seed(1)  # For dropout.
        training.step(0)
        found = [p.grad for p in supernet.parameters() if p.grad is not None]
        return torch.cat([gradient.flatten().float() for gradient in found])

    training.round()
    row["supernet: ms"] = round(1e3 * statistics.median(training.round() for _ in range(rounds)), 3)
    row |= {f"supernet: {key}": value for key, value in training.singly().items()}
    state = {key: value.clone() for key, value in supernet.state_dict().items()}
    expected = gradient()
    with torch.no_grad():
        for key, value in supernet.state_dict().items():
            value.copy_(state[key])
    began = time.monotonic()
    row["options captured"] = capture_options(supernet, training, variant.bf16)
    row["capture s"] = round(time.monotonic() - began, 1)
    found = gradient()
    row["gradients differ by"] = float(f"{(found - expected).norm() / expected.norm():.2g}")
    training.round()
    row["captured: ms"] = round(1e3 * statistics.median(training.round() for _ in range(rounds)), 3)
    row |= {f"captured: {key}": value for key, value in training.singly().items()}
    row["captured, to supernet"] = round(row["captured: ms"] / row["supernet: ms"], 3)
    return row


def graphs(device: torch.device, seconds: float, dry: bool, emit: Emit) -> None:
    """Measure the small cases in a process of its own, which ends after some seconds.

    Args:
        device: where.
        seconds: at most.
        dry: whether this is a trial.
        emit: takes each row.
    """
    command = [sys.executable, __file__, "--device", device.type, *(["--dry-run"] if dry else [])]
    child = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    killed = ""
    try:
        output, _ = child.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        killed = f"ended after {seconds:.0f} s"
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        output, _ = child.communicate()
    lines = output.strip().splitlines()
    for line in lines:
        if line.startswith('{"case"'):
            emit(json.loads(line))
    if child.returncode:
        emit({"error": killed or f"exit {child.returncode}: " + " / ".join(lines[-3:])[-400:]})


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--dry-run", action="store_true")
    options = parser.parse_args()
    if options.device == "cpu":
        torch.set_num_threads(1)
    device = torch.device(options.device)
    cases = DRY if options.dry_run else CASES
    for name, case in cases.items():
        if "imagenet" in name:
            continue
        for title in MEASURED:
            try:
                row = measure(name, case, title, device, 1 if options.dry_run else ROUNDS)
            except Exception as error:  # The other cases go on, if the GPU still does.
                row = {"case": name, "variant": title}
                row["error"] = f"{type(error).__name__}: {str(error)[:300]}"
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
