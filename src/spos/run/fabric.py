"""The devices and the precision of a run, as a Fabric."""

from __future__ import annotations

import warnings
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from spos._util.errors import UserError, nearest
from spos._util.processes import quieten

if TYPE_CHECKING:
    from lightning_fabric import Fabric

#: Kinds of devices; those of Lightning Fabric that nobody has run this on are not among them.
ACCELERATORS = ("auto", "cpu", "cuda", "gpu", "mps")
#: How long a process waits for those of other machines, which may be reading their images.
TIMEOUT = timedelta(minutes=30)


def make_fabric(
    accelerator: str, precision: Any, devices: int | list[int] = 1, num_nodes: int = 1
) -> Fabric:
    """Make a Fabric with devices of a kind.

    Args:
        accelerator (str): accelerator of Lightning Fabric.
        precision (Any): its precision.
        devices (int | list[int]): number of processes, at least 1, or the number of one device.
        num_nodes (int): number of machines with so many processes each, at least 1; those of
            several are started by others (:class:`spos.run.nodes.Nodes`).

    Raises:
        UserError: the devices do not exist, or do not support the precision.
    """
    if accelerator not in ACCELERATORS:
        raise UserError(f"--accelerator {accelerator}: {nearest(accelerator, ACCELERATORS)}")
    # It takes as long to import as torch itself, and many commands need none.
    from lightning_fabric import Fabric
    from lightning_fabric.strategies.ddp import DDPStrategy

    from spos.run.own_processes import OwnProcesses

    quieten()
    try:
        with warnings.catch_warnings():
            # Fabric warns and falls back to another precision; here that is an error, below.
            warnings.filterwarnings("ignore", message=".*AMP with fp16")
            strategy: Any = "ddp_spawn" if isinstance(devices, int) and devices > 1 else "auto"
            if num_nodes > 1:
                strategy = DDPStrategy(timeout=TIMEOUT)
            fabric = Fabric(
                accelerator=accelerator,
                devices=devices,
                num_nodes=num_nodes,
                strategy=strategy,
                precision=precision,
                plugins=[] if num_nodes > 1 else [OwnProcesses()],
            )
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"--accelerator {accelerator} --devices {devices}: {reason}") from error
    if precision == "16-mixed" and fabric.device.type == "cpu":
        raise UserError(
            "run.precision 16-mixed: not available on the CPU; allowed there: 32-true, bf16-mixed"
        )
    return fabric
