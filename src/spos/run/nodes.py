"""The processes of several machines that train together, each started by the same command."""

from __future__ import annotations

import json
import pickle
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from torch import distributed

from spos._util.errors import UserError, explain
from spos._util.interrupt import interruptible
from spos._util.processes import LostError, exchanging
from spos.data import ImageData
from spos.run import fabric as fabrics
from spos.run.context import Context
from spos.run.directory import RunDirectory
from spos.run.serving import VERSIONS, for_workers, needed_files

#: Seconds between looks at whether the first process has sent something.
INTERVAL = 0.02
HOW = (
    "start the same command on every machine by torchrun --nnodes {count} --nproc-per-node "
    "{devices} --node-rank 0 (1, ...) --master-addr HOST --master-port PORT -m spos ..., or by "
    "srun of Slurm"
)


class Nodes:
    """Processes of several machines, as many on each, that torchrun or Slurm has started.

    The first one does what a run does and writes what it writes. The others take part in its
    trainings, for which it sends them what they need: they own no run directory.

    Args:
        count (int): number of machines, at least 2.
        devices (int): number of processes of each, each with one device, at least 1.
        accelerator (str): accelerator of Lightning Fabric.

    Attributes:
        is_first (bool): whether this is the process that does the rest of the run.

    Raises:
        UserError: nothing has started such processes, they are another number, or they have other
            versions.
        LostError: another process ended, or does not answer.
    """

    def __init__(self, count: int, devices: int, accelerator: str) -> None:
        self.count, self._devices, self._accelerator = count, devices, accelerator
        self._training = False
        self._data: ImageData | None = None
        given = f"--num-nodes {count} --devices {devices}"
        how = HOW.format(count=count, devices=devices)
        with _environment_read(given, how):
            from lightning_fabric.plugins.environments.lightning import LightningEnvironment

            fabric = self._make("32-true")
            environment: Any = getattr(fabric.strategy, "cluster_environment", None)
            if isinstance(environment, LightningEnvironment):
                raise UserError(f"{given}: {how}")
            size, place = environment.world_size(), environment.local_rank()
            if size != count * devices or place >= devices:
                raise UserError(
                    f"{given}: there are {size} processes, of which this is number {place} of its "
                    f"machine, from 0; start {devices} on each of {count} machines"
                )
            with exchanging():
                # Torch handles no signal while it waits for the others.
                self._group = interruptible(partial(_join, fabric))
        self.is_first = fabric.is_global_zero
        versions = json.loads(self._share(json.dumps(VERSIONS).encode()))
        if versions != VERSIONS:
            here, there = (
                ", ".join(f"{name} {value}" for name, value in one.items())
                for one in (VERSIONS, versions)
            )
            raise UserError(f"this machine has {here}; the first one has {there}")

    def __enter__(self) -> Nodes:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Those that train are not listening: they notice that the connection is closed.
        if self.is_first and not self._training and not isinstance(error, LostError):
            with suppress(LostError):
                self._share(pickle.dumps(_ending(error)))
        if error is None:
            distributed.destroy_process_group()

    def launch(
        self, context: Context, work: Callable[..., Any], arguments: tuple[Any, ...], folder: str
    ) -> Any:
        """Call a function in every process.

        Args:
            context (Context): the run.
            work (Callable): function of the context and of the arguments, defined at the top level
                of a module.
            arguments (tuple): passed on to ``work``.
            folder (str): folder of the run for the checkpoints of the work.

        Returns:
            Return value of this process, the first one.

        Raises:
            LostError: another process ended, or does not answer.
        """
        sent = (for_workers(context), work, arguments, needed_files(context, folder))
        self._share(pickle.dumps(("work", *sent, context.data.fingerprint)))
        own = context.fabric
        self._training = True
        try:
            result = self._work(context, work, arguments)
        finally:
            context.fabric = own
        self._training = False
        return result

    def serve(self) -> None:
        """Take part in the trainings of the first process until it ends.

        Raises:
            UserError: the first process met it, or the images of this machine are others.
            KeyboardInterrupt: the run was interrupted.
            LostError: another process ended, or does not answer.
        """
        while True:
            kind, *values = pickle.loads(self._share())
            if kind == "end":
                return
            if kind == "mistake":
                raise UserError(*values)
            if kind == "interrupted":
                raise KeyboardInterrupt
            context, work, arguments, files, fingerprint = values
            with tempfile.TemporaryDirectory(prefix="spos-") as folder:
                self._lay_out(context, Path(folder), files)
                if context.data.fingerprint != fingerprint:
                    raise UserError(
                        f"the images of {context.data.source} on this machine are not those of the "
                        "first one: give all machines the same"
                    )
                self._data = context.data
                self._work(context, work, arguments)

    def _lay_out(self, context: Context, root: Path, files: dict[str, bytes]) -> None:
        for name, content in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        context.directory = RunDirectory(root)
        if self._data is not None:
            context.__dict__["data"] = self._data

    def _work(self, context: Context, work: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        context.fabric = self._make(context.config.run.precision)
        context.fabric.launch()
        return work(context, *arguments)

    def _make(self, precision: Any) -> Any:
        return fabrics.make_fabric(self._accelerator, precision, self._devices, self.count)

    def _share(self, content: bytes = b"") -> bytes:
        """Send bytes from the first process to the others, which wait for them."""
        with exchanging():
            size = torch.tensor([len(content)])
            sent = distributed.broadcast(size, 0, group=self._group, async_op=True)
            # A signal is not handled while torch waits.
            while not sent.is_completed():
                time.sleep(INTERVAL)
            sent.wait()
            values = torch.empty(int(size), dtype=torch.uint8)
            if self.is_first:
                values = torch.frombuffer(bytearray(content), dtype=torch.uint8)
            distributed.broadcast(values, 0, group=self._group)
            return values.numpy().tobytes()


@contextmanager
def _environment_read(given: str, how: str) -> Iterator[None]:
    """Report in one line what torchrun or Slurm has not, or wrongly, put into the environment."""
    try:
        yield
    except UserError:
        raise
    except (KeyError, ValueError) as error:
        said = f"no {error.args[0]}" if isinstance(error, KeyError) else str(error)
        raise UserError(
            f"{given}: the environment is not that of torchrun or Slurm ({said}); {how}"
        ) from error


def _join(fabric: Any) -> Any:
    """Wait for the other processes; a group of them besides that of the trainings."""
    fabric.launch()
    # Of its own, because that of a GPU cannot wait without keeping it busy.
    return distributed.new_group(backend="gloo", timeout=fabrics.TIMEOUT)


def _ending(error: BaseException | None) -> tuple[str, ...]:
    """What the others are told at the end."""
    if error is None:
        return ("end",)
    if isinstance(error, KeyboardInterrupt):
        return ("interrupted",)
    return "mistake", explain(error) or "the first process failed: see what it printed"
