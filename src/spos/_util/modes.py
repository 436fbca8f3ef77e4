"""Modes of torch that a caller has set, which must not change what is computed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from threading import RLock

import torch

#: Reentrant, because a callback of a run may begin another one.
_ONE_AT_A_TIME = RLock()


@contextmanager
def usual_modes() -> Iterator[None]:
    """Compute as in a fresh process, and leave the caller's random numbers alone; also a decorator.

    Under ``torch.autocast`` or with another default dtype a run would train in it although its
    settings say otherwise, and its worker processes would not.

    Example:
        >>> with torch.no_grad(), torch.autocast("cpu"), usual_modes():
        ...     torch.is_grad_enabled(), torch.is_autocast_enabled("cpu")
        (True, False)
    """
    dtype, device = torch.get_default_dtype(), torch.get_default_device()
    with ExitStack() as modes:
        modes.enter_context(torch.inference_mode(False))
        modes.enter_context(torch.enable_grad())
        for kind in ("cpu", "cuda", "mps"):
            if torch.is_autocast_enabled(kind):
                modes.enter_context(torch.autocast(kind, enabled=False))
        if device.type != "cpu":
            # Not otherwise: every function of torch takes longer inside.
            modes.enter_context(torch.device("cpu"))
        used: bool = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
        devices = range(torch.cuda.device_count() if used else 0)
        modes.enter_context(torch.random.fork_rng(devices))
        if dtype != torch.float32:
            torch.set_default_dtype(torch.float32)
            modes.callback(torch.set_default_dtype, dtype)
        yield


@contextmanager
def one_run() -> Iterator[None]:
    """Compute as :func:`usual_modes` does, after the runs of other threads; also a decorator.

    Random numbers and the models of a process are the same for all of its threads: two runs at once
    would draw from each other's, and a model could be taken for another one of its class.
    """
    with _ONE_AT_A_TIME, usual_modes():
        yield
