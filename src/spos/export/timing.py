"""How long an exported network takes for one image."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

#: Calls before anything is timed, calls that are timed, and the seconds after which it is enough.
WARM_UP, CALLS, SECONDS = 10, 200, 1.0
#: Calls that are timed in any case.
LEAST = 10


def measure_latency(run: Callable[[Tensor], Tensor], image: Tensor) -> dict[str, Any]:
    """Time a network on one image and one thread of the CPU.

    Args:
        run: the network.
        image: uint8 [1, C, S, S].

    Returns:
        The median and the quartiles in microseconds, and the number of timed calls.

    Example:
        >>> measure_latency(lambda image: image, torch.zeros(1, 1, 8, 8))["calls"]
        200
    """
    times: list[float] = []
    with _one_thread():
        for _ in range(WARM_UP):
            run(image)
        end = time.perf_counter() + SECONDS
        while len(times) < LEAST or (len(times) < CALLS and time.perf_counter() < end):
            began = time.perf_counter()
            run(image)
            times.append((time.perf_counter() - began) * 1e6)
    first, median, third = statistics.quantiles(times, n=4)
    return {"median_us": median, "quartiles_us": [first, third], "calls": len(times)}


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
