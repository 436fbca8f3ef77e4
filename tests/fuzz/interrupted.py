"""Runs a command in this process until it trains or serves, where it is interrupted."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, NoReturn
from unittest.mock import patch

from spos.run.planning.speed import Line, Speed

#: What is taken for the speed of this machine: to measure it takes as long as hundreds of cases.
SPEED = Speed(threads=1, training=Line(1e-3, 1e-11), evaluation=Line(1e-3, 3e-12))


def run_command(arguments: list[str], enough: float = 0.0) -> int:
    """Run a command until it trains or serves: there it is interrupted, as by Ctrl-C.

    Args:
        arguments: of the command.
        enough: seconds of the processor for which it may train and evaluate; 0 to interrupt it at
            the first step.

    Returns:
        Its exit status.
    """
    import torch

    from spos._cli.main import entry
    from spos.run.dashboard import DashboardServer

    owner, leave, ends = os.getpid(), os._exit, time.process_time() + enough

    def leave_here(status: int) -> NoReturn:
        if os.getpid() != owner:
            leave(status)
        raise SystemExit(status)

    def interrupt(*given: object, **named: object) -> NoReturn:
        raise KeyboardInterrupt

    def unless_late(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: object, **named: object) -> Any:
            return (function if time.process_time() < ends else interrupt)(*given, **named)

        return call

    replaced: list[tuple[Any, str, Any]] = [
        (sys, "argv", ["spos", *arguments]),
        (os, "_exit", leave_here),
        (torch.autograd, "backward", unless_late(torch.autograd.backward)),
        (DashboardServer, "serve_forever", interrupt),
    ]
    if enough:
        # Of an evaluation, which has no step back.
        replaced.append((torch.nn.Conv2d, "forward", unless_late(torch.nn.Conv2d.forward)))
    with ExitStack() as stack:
        for owner_of, name, other in replaced:
            stack.enter_context(patch.object(owner_of, name, other))
        for name, other in (
            ("run.latency.measure_latency", interrupt),
            ("cost.latency.validate.Measurement", interrupt),
            ("run.planning.capacity.measure_speed", lambda *given: SPEED),
            ("run.planning.capacity.measure_side_by_side", lambda *given, **named: 1.0),
        ):
            stack.enter_context(patch(f"spos.{name}", other))
        try:
            entry()
        except SystemExit as error:
            return int(error.code or 0)
    return 0
