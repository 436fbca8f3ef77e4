"""How fast this machine trains and evaluates the networks of a space, measured on a few steps."""

from __future__ import annotations

import itertools
import timeit
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from statistics import median

import torch
from torch import nn

from spos._util.randomness import generator
from spos.cost import CostModel
from spos.cost.latency.backend import threads_set
from spos.nn.supernet import Supernet
from spos.run.planning.precision import FULL, autocast
from spos.run.planning.speed import Line, Speed
from spos.space import Architecture
from spos.training.backward import fast_backward
from spos.training.memory import supports_channels_last
from spos.training.method import Method, Pass

#: Seconds that the measurement of a network takes at least, after a first step.
LEAST = 0.3
#: How many times as long the steps of a method are measured: they differ, and are longer.
MORE = 3.0
#: A number of threads is given up if two steps of any network take this many times longer than one
#: of the costliest network with fewer threads.
SLOWER = 1.5
#: Networks of which the cheapest and the costliest are measured.
SAMPLES = 64
#: Batches of an accelerator are doubled until they take so many times as long, or are so large.
GROWN, LARGEST = 2.0, 4096
#: Least share of the time of the last of them that is taken to be arithmetic.
ARITHMETIC = 0.05


def measure_speed(
    supernet: Supernet,
    table: CostModel,
    batch_size: int,
    threads: Sequence[int],
    device: torch.device,
    precision: str = FULL,
) -> Speed:
    """Measure training steps and forward passes, with the best number of threads.

    Args:
        supernet (Supernet): supernet with weights.
        table (CostModel): costs of its architectures.
        batch_size (int): images of a step, at least 2.
        threads (Sequence[int]): numbers of CPU threads to try; the number of this process is left
            as it was.
        device (torch.device): device to measure.
        precision (str): precision of Lightning Fabric.
    """
    work = _Work(supernet.train(), batch_size, device, table, precision)
    found: list[Speed] = []
    for count in threads:
        with threads_set(count):
            # On cores that are busy with other work, several threads may be a hundred times slower.
            if found:
                limit = SLOWER * found[0].training.seconds(max(work.costs.values()), batch_size)
                if min(timeit.repeat(work.train, number=1, repeat=2)) > limit:
                    continue
            lines = work.line(work.train), work.line(work.evaluate)
            found.append(Speed(count, *lines, precision))
    middle = median(work.costs.values())
    return min(found, key=lambda speed: speed.training.seconds(middle, batch_size))


def measure_side_by_side(
    supernet: Supernet, table: CostModel, batch_size: int, threads: int, *, processes: int
) -> float:
    """Measure how much more several processes do than one of them alone in the same time.

    Threads take the place of the processes, which would take seconds to start: what they share is
    the memory and the cores, and while these compute, threads of Python do not wait for each other.

    Args:
        supernet (Supernet): supernet with weights, on the CPU.
        table (CostModel): costs of its architectures.
        batch_size (int): images of a forward pass.
        threads (int): CPU threads of each process.
        processes (int): number of processes, at least 2.
    """
    work = _Work(supernet.eval(), batch_size, torch.device("cpu"), table)
    path = max(work.costs, key=work.costs.__getitem__)
    supernet.activate(path)
    with threads_set(threads), ThreadPoolExecutor(processes) as pool:
        alone = _seconds(work.evaluate)
        times = max(2, round(LEAST / alone))

        def repeat(_: int) -> None:
            # Threads begin with the number of the process, not with that of the caller.
            torch.set_num_threads(threads)
            for _ in range(times):
                work.evaluate()

        *_, last = (
            timeit.timeit(lambda: [*pool.map(repeat, range(processes))], number=1) for _ in range(2)
        )
    return processes * times * alone / last


def latency_line(supernet: Supernet, table: CostModel, device: torch.device) -> Line:
    """Measure the latency of one image in seconds, as a line over the multiply-adds.

    Args:
        supernet (Supernet): supernet with weights.
        table (CostModel): costs of its architectures.
        device (torch.device): device to measure; of a CPU one thread.
    """
    with threads_set(1):
        work = _Work(supernet.eval(), 1, device, table)
        return work.line(work.evaluate)


def measure_networks(
    supernet: Supernet,
    paths: Sequence[Architecture],
    batch_size: int,
    device: torch.device,
    precision: str = FULL,
) -> list[float]:
    """Measure the training steps of some networks in seconds.

    Args:
        supernet (Supernet): supernet with weights, of which they are paths.
        paths (Sequence[Architecture]): their architectures.
        batch_size (int): images of a step, at least 2.
        device (torch.device): device to measure.
        precision (str): precision of Lightning Fabric.
    """
    work = _Work(supernet.train(), batch_size, device, precision=precision)
    times = []
    with fast_backward(supernet, device):
        for path in paths:
            supernet.activate(path)
            times.append(_seconds(work.train))
    return times


def measure_method(
    method: Method, images: torch.Tensor, often: float, precision: str = FULL
) -> float:
    """Measure the steps of a training by its method: their time in seconds.

    Args:
        method (Method): method with a model on its device; it trains theta in every step.
        images (torch.Tensor): images of a step, shape (batch, channels, height, width).
        often (float): steps of theta for each step of the weights, in [0, 1].
        precision (str): precision of Lightning Fabric.
    """
    optimizer = torch.optim.SGD(method.model.parameters(), lr=0.0, momentum=0.9)
    targets = torch.zeros(len(images), dtype=torch.int64, device=images.device)
    # Drawn paths differ in their time, so every step is another one.
    steps = itertools.count(1)

    def train(step: int) -> None:
        optimizer.zero_grad(set_to_none=True)
        passes = iter(method.losses(step, images, targets))

        def following() -> Pass | None:
            with autocast(precision, images.device):
                return next(passes, None)

        for one in iter(following, None):
            torch.autograd.backward(one.loss / method.passes)
        optimizer.step()

    def train_both() -> None:
        step = next(steps)
        train(step)
        method.after_step(step)

    method.model.train()
    with fast_backward(method.model, images.device):
        weights, both = (_seconds(work, MORE) for work in (lambda: train(next(steps)), train_both))
    return weights + often * max(both - weights, 0.0)


class _Work:
    """Steps of the active network of a supernet, on random images.

    Args:
        supernet (Supernet): supernet with weights; it is moved to the device.
        batch_size (int): images of a step.
        device (torch.device): device to measure.
        table (CostModel | None): costs of its architectures; None where no line is measured.
        precision (str): precision of Lightning Fabric.
    """

    def __init__(
        self,
        supernet: Supernet,
        batch_size: int,
        device: torch.device,
        table: CostModel | None = None,
        precision: str = FULL,
    ) -> None:
        self.supernet, self.device, self.batch_size = supernet.to(device), device, batch_size
        self.precision = precision
        # As in a training: in another format a step may take half as long again.
        supernet.to(memory_format=memory_format(supernet, device))  # type: ignore[call-overload]
        self.inputs = random_images(supernet, batch_size, device)
        self.optimizer = torch.optim.SGD(supernet.parameters(), lr=0.0)
        self.costs: dict[Architecture, int] = {}
        if table is not None:
            drawn = supernet.space.sample_many(SAMPLES, generator(0, "speed"))
            self.costs = {(path := Architecture(one)): table.cost(path)["flops"] for one in drawn}

    def train(self) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        with autocast(self.precision, self.device):
            outputs = self.supernet(self.inputs)
            targets = torch.zeros(len(outputs), dtype=torch.int64, device=self.device)
            loss: torch.Tensor = nn.functional.cross_entropy(outputs.flatten(1), targets)
        torch.autograd.backward(loss)
        self.optimizer.step()

    def evaluate(self) -> None:
        with torch.inference_mode(), autocast(self.precision, self.device):
            self.supernet(self.inputs)

    def line(self, work: Callable[[], None]) -> Line:
        """Time some work, as a line over the multiply-adds of a batch."""
        with fast_backward(self.supernet, self.device):
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
                self.inputs = random_images(self.supernet, 2 * size, self.device)
                last, size = _seconds(work), 2 * size
        except torch.OutOfMemoryError:
            pass
        finally:
            self.inputs = random_images(self.supernet, self.batch_size, self.device)
        flops = self.costs[path]
        slope = (last - first) / (flops * max(size - self.batch_size, 1))
        each = max(slope, ARITHMETIC * last / (flops * size))
        return Line(max(first - each * flops * self.batch_size, 0.0), each)


def random_images(supernet: Supernet, count: int, device: torch.device) -> torch.Tensor:
    """Random images for a supernet, in the memory format in which it is trained."""
    images = torch.randn(count, *supernet.input_shape, device=device)
    return images.contiguous(memory_format=memory_format(supernet, device))


def memory_format(supernet: Supernet, device: torch.device) -> torch.memory_format:
    """The memory format of weights and images in a training."""
    last = supports_channels_last(supernet, device)
    return torch.channels_last if last else torch.contiguous_format


def _seconds(work: Callable[[], None], more: float = 1.0) -> float:
    """Median time of a call."""
    # Imported where it is used, because it takes a while.
    from torch.utils.benchmark import Timer

    timer = Timer("work()", globals={"work": work}, num_threads=torch.get_num_threads())
    return timer.blocked_autorange(min_run_time=more * LEAST).median
