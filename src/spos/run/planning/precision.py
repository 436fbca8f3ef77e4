"""The precision of a run: what it gains, and its context around a forward pass."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from spos.run.planning.speed import MEASURED, Line

#: The precision of a run by default, and the one that may be faster.
FULL, HALF = "32-true", "bf16-mixed"


def autocast(precision: str, device: torch.device) -> AbstractContextManager[Any]:
    """The context of a forward pass, as that of a Fabric with a precision.

    Args:
        precision (str): precision of Lightning Fabric: ``32-true``, ``bf16-mixed`` or ``16-mixed``.
        device (torch.device): device that computes.

    Example:
        >>> with autocast("bf16-mixed", torch.device("cpu")):
        ...     (torch.ones(1, 2) @ torch.ones(2, 1)).dtype
        torch.bfloat16
    """
    if precision == FULL:
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16 if precision == HALF else torch.float16)


def has_bfloat16(device: torch.device) -> bool:
    """Whether a device computes with bfloat16 in hardware, and gains by it.

    On CPUs, training was slower with it wherever it was measured.
    """
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def measure_gain(full: Line, half: Line) -> float:
    """How many times as fast one precision is as another, where half of the time is arithmetic.

    The batches of a run are as large as that at least, so that launches do not take all of a step.

    Args:
        full (Line): times in the precision by default.
        half (Line): times in the other one.

    Example:
        >>> round(measure_gain(Line(0.01, 4e-9), Line(0.01, 1e-9)), 6)
        1.6
    """
    work = full.fixed / full.each or MEASURED
    return full.seconds(work, 1) / half.seconds(work, 1)
