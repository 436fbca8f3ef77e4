"""What this machine does in the time of a run, as far as it was measured."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch

from spos._util.cores import usable_cores
from spos.cost import CostModel
from spos.cost.latency.backend import threads_set
from spos.nn.supernet import Supernet
from spos.run.local_workers import may_fork
from spos.run.planning.augmentations import measure_augmentation
from spos.run.planning.measuring import measure_side_by_side, measure_speed
from spos.run.planning.plan import side_by_side, train_all
from spos.run.planning.precision import FULL, HALF, has_bfloat16, measure_gain
from spos.run.planning.speed import Speed, images_of_step

#: Seconds of a run below which its parts are too short to be shared by processes: where these are
#: forks of one that has imported all they need, and where each takes seconds to start.
LEAST_SHARED = {True: 100.0, False: 400.0}
#: How much more processes or another precision must do, and the most that is expected of each
#: process.
LEAST_GAIN, MOST_GAIN = 1.1, 0.9
#: Images of a batch by which the speed is measured at first.
BATCH = 32


@dataclass
class Capacity:
    """What this machine does in the time of a run.

    Args:
        limit (float | None): seconds for the whole run; None for as long as it takes.
        began (float): time from which the seconds count, of ``time.monotonic``.
        threads (int | None): CPU threads that the user gave; None to choose them.
        processes (int): processes of this machine that the run may use for independent work; 1
            once it is known that they gain too little.
        tell (Callable | None): function that is told what takes a while; None for nobody.

    Attributes:
        reading (float): seconds in which the images are read before the first stage.
        device (torch.device): device of the run.
        tried (list[int]): numbers of threads of which the fastest is not known yet.
        precision (str): precision of the run, as Lightning Fabric names it.
        gain (float): how many times as fast it is as the one by default, if it was chosen here.
        parallel (float): work that the processes do in the time in which one alone does 1.

    Example:
        >>> capacity = Capacity(100.0, time.monotonic() - 95, None, 1)
        >>> capacity.seconds
        10.0
    """

    limit: float | None
    began: float
    threads: int | None
    processes: int
    tell: Callable[[str], object] | None = None
    reading: float = field(init=False, default=0.0)
    device: torch.device = field(init=False, default=torch.device("cpu"))
    tried: list[int] = field(init=False)
    precision: str = field(init=False, default=FULL)
    gain: float = field(init=False, default=1.0)
    parallel: float = field(init=False, default=1.0)
    _open: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self.tried = [self.threads] if self.threads else sorted({1, usable_cores()})

    @property
    def seconds(self) -> float | None:
        """Time that is left for the stages; at least a tenth of the whole."""
        if self.limit is None:
            return None
        return max(self.limit - (time.monotonic() - self.began) - self.reading, self.limit / 10)

    def use(self, device: torch.device, precision: str, *, fixed: bool = True) -> None:
        """Compute on a device in a precision, or in a faster one, unless it is fixed."""
        self.device, self.precision = device, precision
        self._open = not fixed and precision == FULL and has_bfloat16(device)
        if device.type != "cpu":
            # Its launches come from one thread.
            self.tried = self.tried[-1:]

    def measure(self, supernet: Supernet, table: CostModel, images: int = BATCH) -> Speed:
        """Measure the speed of training and evaluation, with the best of the numbers of threads."""
        if self.tell:
            self.tell("measuring the speed of this machine")
            self.tell = None
        given = supernet, table, images
        speed = measure_speed(*given, self.tried, self.device, self.precision)
        self.tried = [speed.threads]
        if self._open:
            self._open = False
            half = measure_speed(*given, self.tried, self.device, HALF)
            gain = measure_gain(speed.training, half.training)
            if gain >= LEAST_GAIN:
                self.precision, self.gain, speed = HALF, gain, half
        return speed

    def augmenting(
        self, policy: str, batch_size: int, shape: tuple[int, ...], speed: Speed
    ) -> float:
        """Time in which a function of the user's own augments a batch; 0 without one."""
        with threads_set(speed.threads):
            return measure_augmentation(policy, batch_size, shape, self.device)

    def share_work(self, supernet: Supernet, table: CostModel, speed: Speed) -> None:
        """Measure what several processes gain; if it is little, leave the work to this one."""
        brief = self.limit is not None and self.limit < LEAST_SHARED[may_fork()]
        if self.processes > 1 and not brief:
            self.parallel = float(self.processes)
            if self.device.type == "cpu":
                least, most = table.range()["flops"]
                size, threads = images_of_step(256, most), self.threads or 1
                measured = measure_side_by_side(
                    supernet, table, size, threads, processes=self.processes
                )
                if threads != speed.threads:
                    each = measure_speed(
                        supernet, table, BATCH, [threads], self.device, self.precision
                    )
                    measured /= speed.times(each, BATCH * (least + most) / 2)
                self.parallel = min(measured, MOST_GAIN * self.processes)
        if self.parallel < LEAST_GAIN:
            self.processes, self.parallel = 1, 1.0

    def side_by_side(self, times: Sequence[float]) -> float:
        """Time that trainings take of which several run at the same time."""
        return side_by_side(times, self.processes, self.parallel)

    def train_all(self, others: int, share: float = 1.0) -> tuple[float, float]:
        """Times of the training of the winner and of others after it, if one takes 1.

        Args:
            others (int): number of networks that the winner is compared with.
            share (float): share of its steps for which they are trained; below 1 the winner is
                trained for as many once more.
        """
        short = share < 1
        times = [share] * (others + short) if others else []
        return train_all(times, self.processes, self.parallel, short=short)
