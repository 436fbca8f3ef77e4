"""Backends that run networks: torch, compiled torch and ONNX Runtime."""

from __future__ import annotations

import copy
import math
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import fx
from torch.utils._pytree import tree_map_only

from spos._util.errors import UserError, as_whole, nearest
from spos.cost.latency.device import device_name
from spos.cost.latency.onnx_session import arrays_of, onnx_versions, session
from spos.cost.latency.record import Runtime

BACKENDS = ("torch", "torch.compile", "onnxruntime")
#: Seconds of warm-up before a measurement, so that caches and clock frequency settle.
WARM_UP = 0.02
#: Target duration of a sample in seconds, and the fewest and most runs in it.
SAMPLE, FEWEST, MOST = 0.04, 5, 200

#: Runs a loaded network: maps its input to its output, in the backend's own tensors.
Step = Callable[[Any], Any]


@dataclass(frozen=True)
class Sample:
    """One sample of a sequence of steps: the time of each in one run, and the number of runs."""

    nanoseconds: tuple[float, ...]
    runs: int


Sampler = Callable[[], Sample]


class Backend(Protocol):
    """Loads networks onto a device and measures them there."""

    @property
    def versions(self) -> dict[str, str]:
        """Versions of the software that latencies depend on, by name."""

    def load(self, network: fx.GraphModule, value: Any) -> Step:
        """Load a network, in evaluation mode on the CPU, for an input of the whole batch."""

    def sampler(self, steps: Sequence[Step], value: Any) -> Sampler:
        """Prepare the measurement of steps that each run on the output of the step before.

        Returns:
            A function that takes one sample per call.
        """


def check_runtime(
    backend: str, accelerator: str, threads: int, batch: int, channels_last: bool
) -> Runtime:
    """Check the settings of a measurement against this machine.

    Returns:
        The settings together with the name of the device.

    Raises:
        UserError: a setting is invalid or not available on this machine.

    Example:
        >>> check_runtime("torch", "cpu", 1, 8, False).batch
        8
    """
    if backend not in BACKENDS:
        raise UserError(f"unknown backend '{backend}': {nearest(backend, BACKENDS)}")
    threads, batch = as_whole(threads, "--threads", 1, 1024), as_whole(batch, "--batch", 1)
    if channels_last and backend == "onnxruntime":
        raise UserError("--channels-last: onnxruntime has its own memory format; omit this option")
    runtime = Runtime(backend, accelerator, device_name(accelerator), threads, batch, channels_last)
    if backend == "onnxruntime":
        onnx_versions(accelerator)
    return runtime


def make_backend(runtime: Runtime, kept: Path | None = None) -> Backend:
    """Create the backend of a runtime; a resumed measurement reuses the graphs in ``kept``."""
    return Onnx(runtime, kept) if runtime.backend == "onnxruntime" else Torch(runtime)


class Torch:
    """Torch, with or without its compiler."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._device = torch.device(runtime.accelerator)

    @property
    def versions(self) -> dict[str, str]:
        cuda = {"cuda": str(torch.version.cuda)} if self._device.type == "cuda" else {}
        return {"torch": torch.__version__, "system": platform.platform(), **cuda}

    def load(self, network: fx.GraphModule, value: Any) -> Step:
        # A copy: the caller goes on computing with the network on the CPU.
        network = copy.deepcopy(network).to(self._device)
        if self._runtime.channels_last:
            network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if self._runtime.backend != "torch.compile":
            return network.forward
        # Every graph has its own forward function. All modules share one __call__, which torch
        # recompiles only a limited number of times.
        function: Step = torch.compile(network.forward, fullgraph=True, dynamic=False)
        # The compiler generates code for the current number of threads.
        with threads_set(self._runtime.threads), torch.inference_mode():
            try:
                function(tree_map_only(torch.Tensor, self._placed, value))
            except Exception as error:
                lines = str(error).strip().splitlines() or [type(error).__name__]
                raise UserError(
                    f"--backend torch.compile does not compile here ({lines[0]}): it needs a C++ "
                    "compiler on the CPU and Triton on CUDA; or use --backend torch"
                ) from error
        return function

    def sampler(self, steps: Sequence[Step], value: Any) -> Sampler:
        value = tree_map_only(torch.Tensor, self._placed, value)
        clock = time_cuda_steps if self._runtime.accelerator == "cuda" else time_steps

        def sample() -> Sample:
            with threads_set(self._runtime.threads), torch.inference_mode():
                return take_sample(lambda: clock(steps, value))

        return sample

    def _placed(self, leaf: torch.Tensor) -> torch.Tensor:
        last = self._runtime.channels_last and leaf.dim() == 4
        layout = torch.channels_last if last else torch.contiguous_format
        return leaf.to(self._device, memory_format=layout)


class Onnx:
    """ONNX Runtime on graphs exported by torch; it folds batch norms into convolutions."""

    def __init__(self, runtime: Runtime, kept: Path | None = None) -> None:
        self._runtime = runtime
        self._kept = kept

    @property
    def versions(self) -> dict[str, str]:
        onnx = onnx_versions(self._runtime.accelerator)
        return {"torch": torch.__version__, **onnx, "system": platform.platform()}

    def load(self, network: fx.GraphModule, value: Any) -> Step:
        return session(network, value, self._runtime, self._kept)

    def sampler(self, steps: Sequence[Step], value: Any) -> Sampler:
        arrays = arrays_of(value, self._runtime.accelerator)
        return lambda: take_sample(lambda: time_steps(steps, arrays))


def take_sample(once: Callable[[], Sequence[float]]) -> Sample:
    """Take the median over several runs after a warm-up.

    If single runs are occasionally slow, the medians of the steps add up to less than the median of
    the whole run. A latency is a sum of steps, so the medians are scaled to add up.

    Args:
        once (Callable[[], Sequence[float]]): function that runs all steps and returns the
            nanoseconds of each.

    Example:
        >>> take_sample(lambda: [1000.0, 3000.0])
        Sample(nanoseconds=(1000.0, 3000.0), runs=200)
    """
    warmed, count = 0.0, 0
    while warmed < WARM_UP * 1e9 and count < MOST:
        taken = sum(once())
        warmed, count = warmed + taken, count + 1
    # ``taken`` is the time of the last run; the first runs may have loaded or compiled something.
    runs = min(MOST, max(FEWEST, math.ceil(SAMPLE * 1e9 / max(taken, 1.0))))
    taken_by_steps = np.array([once() for _ in range(runs)])
    medians = np.median(taken_by_steps, axis=0)
    whole = float(np.median(taken_by_steps.sum(axis=1)))
    shares = medians * (whole / max(float(medians.sum()), 1e-9))
    return Sample(tuple(round(float(share), 1) for share in shares), runs)


def time_steps(steps: Sequence[Step], value: Any) -> list[float]:
    """Run steps, each on the output of the one before, and return the nanoseconds of each.

    A step that runs repeatedly on its own finds its weights and input in the caches. In a network
    it finds the data of the step before, as it does here.

    Example:
        >>> len(time_steps([abs, abs], -1))
        2
    """
    times = []
    begin = time.perf_counter_ns()
    for step in steps:
        value = step(value)
        end = time.perf_counter_ns()
        times.append(float(end - begin))
        begin = end
    return times


def time_cuda_steps(steps: Sequence[Step], value: Any) -> list[float]:
    # Events are part of the device's queue: they record when the work ran, not when the CPU
    # submitted it.
    event: Callable[..., Any] = torch.cuda.Event
    events = [event(enable_timing=True) for _ in (None, *steps)]
    events[0].record()
    for step, end in zip(steps, events[1:], strict=True):
        value = step(value)
        end.record()
    events[-1].synchronize()
    return [float(before.elapsed_time(after)) * 1e6 for before, after in pairwise(events)]


@contextmanager
def threads_set(number: int) -> Iterator[None]:
    """Have torch use a number of CPU threads inside."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
