"""How fast this machine trains and evaluates the networks of a space, measured on a few steps."""

from __future__ import annotations

import timeit
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import torch
from torch import nn

from spos._util.randomness import generator
from spos.cost import CostModel
from spos.cost.latency.backend import threads_set
from spos.nn.supernet import Supernet
from spos.space import Architecture

#: Seconds that the measurement of a network takes at least, after a first step.
LEAST = 0.3
#: A number of threads is given up if two steps of any network take this many times longer than one
#: of the costliest network with fewer threads.
SLOWER = 1.5
#: Networks of which the cheapest and the costliest are measured.
SAMPLES = 64
#: Batches of an accelerator are doubled until they take so many times as long, or are so large.
GROWN, LARGEST = 2.0, 4096
#: Least share of the time of the last of them that is taken to be arithmetic.
ARITHMETIC = 0.05


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
    work = _Work(supernet, table, batch_size, device)
    supernet = work.supernet
    optimizer = torch.optim.SGD(supernet.parameters(), lr=0.0)

    def train() -> None:
        optimizer.zero_grad(set_to_none=True)
        outputs = supernet(work.inputs)
        targets = torch.zeros(len(outputs), dtype=torch.int64, device=device)
        loss: torch.Tensor = nn.functional.cross_entropy(outputs.flatten(1), targets)
        torch.autograd.backward(loss)
        optimizer.step()

    found: list[Speed] = []
    supernet.train()
    for count in threads:
        with threads_set(count):
            # On cores that are busy with other work, several threads may be a hundred times slower.
            if found:
                limit = SLOWER * found[0].training.seconds(max(work.costs.values()), batch_size)
                if min(timeit.repeat(train, number=1, repeat=2)) > limit:
                    continue
            found.append(Speed(count, work.line(train), work.line(work.evaluate)))
    middle = median(work.costs.values())
    return min(found, key=lambda speed: speed.training.seconds(middle, batch_size))


def latency_line(supernet: Supernet, table: CostModel, device: torch.device) -> Line:
    """Measure the latency of one image in seconds, as a line over the multiply-adds.

    Args:
        supernet (Supernet): supernet with weights.
        table (CostModel): costs of its architectures.
        device (torch.device): device to measure; of a CPU one thread.
    """
    with threads_set(1):
        work = _Work(supernet.eval(), table, 1, device)
        return work.line(work.evaluate)


class _Work:
    """Batches of the cheapest and of the costliest of some random networks."""

    def __init__(
        self, supernet: Supernet, table: CostModel, batch_size: int, device: torch.device
    ) -> None:
        self.supernet, self.device, self.batch_size = supernet.to(device), device, batch_size
        self.inputs = self._images(batch_size)
        drawn = supernet.space.sample_many(SAMPLES, generator(0, "speed"))
        self.costs = {(path := Architecture(one)): table.cost(path)["flops"] for one in drawn}

    def evaluate(self) -> None:
        with torch.inference_mode():
            self.supernet(self.inputs)

    def line(self, work: Callable[[], None]) -> Line:
        """Time some work, as a line over the multiply-adds of a batch."""
        return self._by_network(work) if self.device.type == "cpu" else self._by_batch(work)

    def _by_network(self, work: Callable[[], None]) -> Line:
        """The line through the cheapest and the costliest network."""
        ends = [choose(self.costs, key=self.costs.__getitem__) for choose in (min, max)]
        times = []
        for path in ends:
            self.supernet.activate(path)
            times.append(_seconds(work))
        (cheap, costly), (low, most) = times, (self.costs[path] * self.batch_size for path in ends)
        # Noise may make the cheaper one look slower; then all of the time is taken to be work.
        each = (costly - cheap) / (most - low) if most > low else 0.0
        if each <= 0:
            each = costly / most
        return Line(max(cheap - each * low, 0.0), each)

    def _by_batch(self, work: Callable[[], None]) -> Line:
        """The line through a small and a large batch of the costliest network.

        An accelerator may be bound by kernel launches, of which a cheap network has as many as a
        costly one: only larger batches show its arithmetic.
        """
        path = max(self.costs, key=self.costs.__getitem__)
        self.supernet.activate(path)
        first = last = _seconds(work)
        size = self.batch_size
        try:
            while last < GROWN * first and 2 * size <= LARGEST:
                self.inputs = self._images(2 * size)
                last, size = _seconds(work), 2 * size
        except torch.OutOfMemoryError:
            pass
        finally:
            self.inputs = self._images(self.batch_size)
        flops = self.costs[path]
        slope = (last - first) / (flops * max(size - self.batch_size, 1))
        each = max(slope, ARITHMETIC * last / (flops * size))
        return Line(max(first - each * flops * self.batch_size, 0.0), each)

    def _images(self, count: int) -> torch.Tensor:
        images = torch.randn(count, *self.supernet.input_shape, device=self.device)
        return images.contiguous(memory_format=torch.channels_last)


def _seconds(work: Callable[[], None]) -> float:
    """Median time of a call."""
    # Imported where it is used, because it takes a while.
    from torch.utils.benchmark import Timer

    timer = Timer("work()", globals={"work": work}, num_threads=torch.get_num_threads())
    return timer.blocked_autorange(min_run_time=LEAST).median
