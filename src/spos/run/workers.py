"""The choice of the processes that carry out the independent work of a run."""

from __future__ import annotations

import multiprocessing

import psutil
import torch

from spos._util.cores import usable_cores
from spos._util.errors import UserError
from spos.run.local_workers import LocalWorkers
from spos.run.ray_workers import RayWorkers
from spos.run.side_by_side import ThisProcess, Workers

#: Bytes that a process needs beside what this one uses now: images and activations.
MEMORY = 1 << 30


def make_workers(
    given: int | str | None,
    threads: int | None = None,
    accelerator: str = "auto",
    *,
    cpus: float | None = None,
    gpus: float | None = None,
) -> Workers:
    """Make the processes that carry out the independent work of a run.

    Args:
        given (int | str | None): number of processes, ``"ray"``, or the address of a Ray cluster;
            None for as many as the machine has CPU cores for, or GPUs.
        threads (int | None): CPU threads of each; None for 1.
        accelerator (str): accelerator of Lightning Fabric.
        cpus (float | None): CPU cores of each worker of Ray; None for as many as threads.
        gpus (float | None): GPUs of each worker of Ray; None for one where there are any.

    Raises:
        UserError: the number is none, this process may start none, CPU cores or GPUs are given
            without Ray, Ray is missing, or its cluster is.

    Example:
        >>> make_workers(2).count, make_workers(1).count
        (2, 1)
    """
    threads = threads or 1
    if isinstance(given, str) and (given == "ray" or given.startswith("ray://")):
        address = None if given == "ray" else given
        return RayWorkers(address, threads if cpus is None else cpus, gpus, threads)
    for name, value in (("cpus", cpus), ("gpus", gpus)):
        if value is not None:
            raise UserError(f"--worker-{name} {value:g}: is for --workers ray; leave it out")
    if given is not None:
        if not isinstance(given, int) or given < 1:
            raise UserError(
                f"--workers {given}: must be a whole number, at least 1, or ray, or ray://HOST:PORT"
            )
        if given > 1 and multiprocessing.current_process().daemon:
            raise UserError(
                f"--workers {given}: a daemonic process, as those of multiprocessing.Pool are, may "
                "start no others; give 1, or use concurrent.futures.ProcessPoolExecutor"
            )
        return LocalWorkers(given, threads) if given > 1 else ThisProcess(threads)
    count = 1
    if accelerator != "cpu" and torch.cuda.is_available():
        count = torch.cuda.device_count()
    elif accelerator == "cpu" or not torch.backends.mps.is_available():
        cores = min(psutil.cpu_count(logical=False) or 1, usable_cores())
        # Each has the libraries and the images in its memory, as this one has.
        used = psutil.Process().memory_info().rss + MEMORY
        count = min(cores // threads, int(psutil.virtual_memory().available // used))
    return LocalWorkers(count, threads, always=False) if count > 1 else ThisProcess(threads)
