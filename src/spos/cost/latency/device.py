"""Names of the devices of this machine."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path

import torch

from spos._util.errors import UserError, nearest

ACCELERATORS = ("cpu", "cuda")
_CPU_FACTS = Path("/proc/cpuinfo")


def device_name(accelerator: str) -> str:
    """Return the name of this machine's CPU or first GPU.

    Args:
        accelerator (str): ``cpu`` or ``cuda``.

    Raises:
        UserError: this machine has no such device.

    Example:
        >>> device_name("cpu") != ""
        True
    """
    if accelerator not in ACCELERATORS:
        raise UserError(f"--accelerator {accelerator}: {nearest(accelerator, ACCELERATORS)}")
    if accelerator == "cpu":
        return _processor()
    if not torch.cuda.is_available():
        raise UserError("--accelerator cuda: this machine has no CUDA device; allowed here: cpu")
    return torch.cuda.get_device_name(0)


def _processor() -> str:
    if _CPU_FACTS.exists():
        for line in _CPU_FACTS.read_text(encoding="utf-8", errors="replace").splitlines():
            field, _, value = line.partition(":")
            if field.strip() in ("model name", "Hardware", "cpu model") and value.strip():
                return " ".join(value.split())
    if platform.system() == "Darwin":
        failed, name = subprocess.getstatusoutput("sysctl -n machdep.cpu.brand_string")
        if name and not failed:
            return name
    return platform.processor() or platform.machine()
