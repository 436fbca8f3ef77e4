"""What runs networks: torch as it is, torch compiled, and ONNX Runtime."""

from __future__ import annotations

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
from torch.utils._pytree import tree_map

from spos._util.errors import UserError, nearest
from spos.cost.latency.device import device_name
from spos.cost.latency.onnx_session import arrays_of, onnx_versions, session
from spos.cost.latency.record import Runtime

BACKENDS = ("torch", "torch.compile", "onnxruntime")
#: Seconds that something runs before it is measured, so that caches and clock have settled.
WARM_UP = 0.02
#: Seconds that a sample takes at least, and the fewest and the most runs in it.
SAMPLE, FEWEST, MOST = 0.04, 5, 200

#: From the input of a network to its output, both as the backend has them on the device.
Step = Callable[[Any], Any]


@dataclass(frozen=True)
class Sample:
    """One round of something.

    Args:
        nanoseconds: of one run, of each of its steps.
        runs: how often it ran.
    """

    nanoseconds: tuple[float, ...]
    runs: int


Sampler = Callable[[], Sample]


class Backend(Protocol):
    """Brings networks onto a device, and measures them there."""

    @property
    def versions(self) -> dict[str, str]:
        """Of what a latency depends on, by name."""

    def load(self, network: fx.GraphModule, value: Any) -> Step:
        """Bring a network onto the device.

        Args:
            network: in evaluation, on the CPU.
            value: its input, for the whole batch.
        """

    def sampler(self, steps: Sequence[Step], value: Any) -> Sampler:
        """Measure networks that run in a row, each on the output of the one before it.

        Args:
            steps: that :meth:`load` gave.
            value: the input of the first.

        Returns:
            What takes a sample whenever it is called.
        """


def check_runtime(
    backend: str, accelerator: str, threads: int, batch: int, channels_last: bool
) -> Runtime:
    """The conditions of a measurement on this machine.

    Args:
        backend: of :data:`BACKENDS`.
        accelerator: ``cpu`` or ``cuda``.
        threads: at least 1.
        batch: images at once, at least 1.
        channels_last: the memory layout; ONNX Runtime has its own.

    Raises:
        UserError: one is not valid, or not to be had here.

    Example:
        >>> check_runtime("torch", "cpu", 1, 8, False).batch
        8
    """
    if backend not in BACKENDS:
        raise UserError(f"unknown backend '{backend}': {nearest(backend, BACKENDS)}")
    for flag, number in (("--threads", threads), ("--batch", batch)):
        if number < 1:
            raise UserError(f"{flag} {number}: must be a whole number from 1")
    if channels_last and backend == "onnxruntime":
        raise UserError("--channels-last: onnxruntime lays images out in its own way; leave it out")
    runtime = Runtime(backend, accelerator, device_name(accelerator), threads, batch, channels_last)
    if backend == "onnxruntime":
        onnx_versions(accelerator)
    return runtime


def make_backend(runtime: Runtime, kept: Path | None = None) -> Backend:
    """The backend of a runtime that :func:`check_runtime` gave.

    Args:
        runtime: what to run on.
        kept: a folder for exported graphs, so that a measurement that goes on need not export them
            again.
    """
    return Onnx(runtime, kept) if runtime.backend == "onnxruntime" else Torch(runtime)


class Torch:
    """Torch, with or without its compiler.

    Args:
        runtime: what to run on.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._device = torch.device(runtime.accelerator)

    @property
    def versions(self) -> dict[str, str]:
        found = {"torch": torch.__version__, "system": platform.platform()}
        if self._runtime.accelerator == "cuda":
            found["cuda"] = str(torch.version.cuda)
        return found

    def load(self, network: fx.GraphModule, value: Any) -> Step:
        network = network.to(self._device)
        if self._runtime.channels_last:
            network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if self._runtime.backend != "torch.compile":
            return network.forward
        # The forward of a graph is a function of its own, whereas all modules have one and the
        # same __call__, which is compiled for a few of them only.
        function: Step = torch.compile(network.forward, fullgraph=True, dynamic=False)
        # The compiler writes code for the number of threads of the moment.
        with _threads(self._runtime.threads), torch.inference_mode():
            try:
                function(tree_map(self._placed, value))
            except Exception as error:
                lines = str(error).strip().splitlines() or [type(error).__name__]
                raise UserError(
                    f"--backend torch.compile does not compile here ({lines[0]}): it needs a C++ "
                    "compiler on the CPU and Triton on CUDA; or use --backend torch"
                ) from error
        return function

    def sampler(self, steps: Sequence[Step], value: Any) -> Sampler:
        value = tree_map(self._placed, value)
        clock = _events if self._runtime.accelerator == "cuda" else in_a_row

        def once() -> list[float]:
            return clock(steps, value)

        def sample() -> Sample:
            with _threads(self._runtime.threads), torch.inference_mode():
                return take_sample(once)

        return sample

    def _placed(self, leaf: Any) -> Any:
        if not isinstance(leaf, torch.Tensor):
            return leaf
        last = self._runtime.channels_last and leaf.dim() == 4
        layout = torch.channels_last if last else torch.contiguous_format
        return leaf.to(self._device, memory_format=layout)


class Onnx:
    """ONNX Runtime, on the graph that torch exports; it folds batch norms into convolutions.

    Args:
        runtime: what to run on.
        kept: a folder for exported graphs.
    """

    def __init__(self, runtime: Runtime, kept: Path | None = None) -> None:
        self._runtime = runtime
        self._kept = kept

    @property
    def versions(self) -> dict[str, str]:
        return {
            "torch": torch.__version__,
            **onnx_versions(self._runtime.accelerator),
            "system": platform.platform(),
        }

    def load(self, network: fx.GraphModule, value: Any) -> Step:
        return session(network, value, self._runtime, self._kept)

    def sampler(self, steps: Sequence[Step], value: Any) -> Sampler:
        arrays = arrays_of(value, self._runtime.accelerator)
        return lambda: take_sample(lambda: in_a_row(steps, arrays))


def take_sample(once: Callable[[], Sequence[float]]) -> Sample:
    """The median of some runs, after others to warm up, shared out as the medians of the steps.

    Medians of steps add up to less than the median of all together where single runs are slow now
    and then; a latency is a sum of steps, and so they are made to.

    Args:
        once: runs everything, and gives the nanoseconds of each step.

    Example:
        >>> take_sample(lambda: [1000.0, 3000.0])
        Sample(nanoseconds=(1000.0, 3000.0), runs=200)
    """
    warmed, count = 0.0, 0
    while warmed < WARM_UP * 1e9 and count < MOST:
        taken = sum(once())
        warmed, count = warmed + taken, count + 1
    # The last run: the first ones may have loaded or compiled something.
    runs = min(MOST, max(FEWEST, math.ceil(SAMPLE * 1e9 / max(taken, 1.0))))
    taken_by_steps = np.array([once() for _ in range(runs)])
    medians = np.median(taken_by_steps, axis=0)
    whole = float(np.median(taken_by_steps.sum(axis=1)))
    shares = medians * (whole / max(float(medians.sum()), 1e-9))
    return Sample(tuple(round(float(share), 1) for share in shares), runs)


def in_a_row(steps: Sequence[Step], value: Any) -> list[float]:
    """Run steps, each on the output of the one before it, and give the nanoseconds of each.

    A step that runs again and again by itself finds its weights and its input in the caches; in a
    network it finds there what the step before it left.

    Example:
        >>> len(in_a_row([abs, abs], -1))
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


def _events(steps: Sequence[Step], value: Any) -> list[float]:
    # Events lie in the queue of the device: they see when it began and ended, not when the CPU
    # handed the work over.
    event: Callable[..., Any] = torch.cuda.Event
    events = [event(enable_timing=True) for _ in range(len(steps) + 1)]
    events[0].record()
    for step, end in zip(steps, events[1:], strict=True):
        value = step(value)
        end.record()
    events[-1].synchronize()
    return [float(before.elapsed_time(after)) * 1e6 for before, after in pairwise(events)]


@contextmanager
def _threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
