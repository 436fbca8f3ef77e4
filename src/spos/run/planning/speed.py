"""How fast this machine trains and evaluates the networks of a space, measured on a few steps."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import torch
from torch import nn

from spos._util.randomness import generator
from spos.cost import CostModel
from spos.nn.supernet import Supernet
from spos.space import Architecture

#: Seconds that the measurement of a network takes at least, after a first step.
LEAST = 0.3
#: A number of threads is given up if two steps of any network take this many times longer than one
#: of the costliest network with fewer threads.
SLOWER = 1.5
#: Networks of which the cheapest and the costliest are measured.
SAMPLES = 64


@dataclass(frozen=True)
class Line:
    """Time of a batch as a line over the multiply-adds of its images.

    Args:
        fixed (float): seconds of a batch whatever its size, at least 0.
        each (float): seconds per multiply-add, above 0.
    """

    fixed: float
    each: float

    def seconds(self, flops: float, batch_size: int) -> float:
        """Time of a batch of images that take so many multiply-adds each.

        Example:
            >>> Line(0.5, 1e-3).seconds(100, 5)
            1.0
        """
        return self.fixed + self.each * flops * batch_size

    def flops(self, seconds: float, batch_size: int) -> float:
        """Multiply-adds of an image with which a batch takes so long; at least 0.

        Example:
            >>> Line(0.5, 1e-3).flops(1.0, 5)
            100.0
        """
        return max(seconds - self.fixed, 0.0) / (self.each * batch_size)


@dataclass(frozen=True)
class Speed:
    """Measured times of this machine.

    Args:
        threads (int): CPU threads with which they were measured.
        training (Line): a forward and a backward pass, and the step of the optimiser.
        evaluation (Line): a forward pass.
    """

    threads: int
    training: Line
    evaluation: Line


def measure_speed(
    supernet: Supernet,
    table: CostModel,
    batch_size: int,
    threads: Sequence[int],
    device: torch.device,
) -> Speed:
    """Measure training steps and forward passes, with the best number of threads.

    Args:
        supernet (Supernet): supernet with weights.
        table (CostModel): costs of its architectures.
        batch_size (int): images of a step, at least 2.
        threads (Sequence[int]): numbers of CPU threads to try; the number of this process is left
            as it was.
        device (torch.device): device to measure.
    """
    supernet = supernet.to(device)
    inputs = torch.randn(batch_size, *supernet.input_shape, device=device)
    inputs = inputs.contiguous(memory_format=torch.channels_last)
    targets = torch.zeros(batch_size, dtype=torch.int64, device=device)
    optimizer = torch.optim.SGD(supernet.parameters(), lr=0.0)
    paths = [
        Architecture(one) for one in supernet.space.sample_many(SAMPLES, generator(0, "speed"))
    ]
    costs = {path: float(table.cost(path)["flops"]) for path in paths}
    high = max(costs.values())
    ends = [min(paths, key=costs.__getitem__), max(paths, key=costs.__getitem__)]

    def train() -> None:
        optimizer.zero_grad(set_to_none=True)
        outputs = supernet(inputs)
        loss: torch.Tensor = nn.functional.cross_entropy(outputs.flatten(1), targets)
        torch.autograd.backward(loss)
        optimizer.step()

    def evaluate() -> None:
        with torch.inference_mode():
            supernet(inputs)

    def line(work: Callable[[], None]) -> Line:
        times = []
        for path in ends:
            supernet.activate(path)
            times.append(_seconds(work, device))
        (cheap, costly), (low, most) = times, (costs[path] * batch_size for path in ends)
        # Noise may make the cheaper one look slower; then all of the time is taken to be work.
        each = (costly - cheap) / (most - low) if most > low else 0.0
        if each <= 0:
            each = costly / most
        return Line(max(cheap - each * low, 0.0), each)

    before = torch.get_num_threads()
    found: list[Speed] = []
    try:
        supernet.train()
        for count in threads:
            torch.set_num_threads(count)
            # On cores that are busy with other work, several threads may be a hundred times slower.
            if found and _hopeless(train, SLOWER * found[0].training.seconds(high, batch_size)):
                continue
            found.append(Speed(count, line(train), line(evaluate)))
    finally:
        torch.set_num_threads(before)
    middle = median(costs.values())
    return min(found, key=lambda speed: speed.training.seconds(middle, batch_size))


def _hopeless(work: Callable[[], None], limit: float) -> bool:
    """Whether each of two calls takes longer than a limit."""
    for _ in range(2):
        begin = time.perf_counter()
        work()
        if time.perf_counter() - begin <= limit:
            return False
    return True


def _seconds(work: Callable[[], None], device: torch.device) -> float:
    """Median time of a call."""
    work()
    times: list[float] = []
    while len(times) < 2 or sum(times) < LEAST:
        _wait(device)
        begin = time.perf_counter()
        work()
        _wait(device)
        times.append(time.perf_counter() - begin)
    return median(times)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
