"""Commands in processes that start at once: forks of one that has imported everything."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from spos._util.interrupt import SIGNALS
from spos.run import local_workers

FORKS = multiprocessing.get_context("forkserver")
#: One server forks these commands and the workers of a run, so both import the same.
PRELOADED = (
    *local_workers.PRELOADED,
    "spos._util.console",
    "spos.export.exporting",
    "alembic.command",
    "lightning_fabric.loggers.tensorboard",
    "optuna.storages._rdb.storage",
    "sklearn.datasets",
    "sqlalchemy.dialects.sqlite",
    "torch._dynamo",
    "torch.fx.experimental.symbolic_shapes",
    "torch.utils.tensorboard",
    "warmed",
)
local_workers.PRELOADED = PRELOADED
FORKS.set_forkserver_preload(list(PRELOADED))
#: Steps of each training of ``SMALL``.
STEPS = 30
#: A run of a few seconds, with checkpoints in the middle of each training.
SMALL = (
    *("--preset", "tiny", "--data", "digits", "--channels", "16,24", "--depths", "1,2"),
    *("--population", "6", "--iterations", "3", "--set", "search.parents=3"),
    *(
        part
        for recipe in ("supernet", "retrain")
        for setting in ("batch_size=16", f"steps={STEPS}", "warmup_steps=4")
        for part in ("--set", f"{recipe}.{setting}")
    ),
    *("--set", "run.evaluation_batch=64", "--set", "run.calibration=64"),
    *("--set", "data.validation=64", "--set", "run.save_every=0.03", "--threads", "1"),
)
#: For a run that nothing interrupts: a checkpoint takes longer than a step.
SAVED_ONCE = ("--set", "run.save_every=60")
#: The same run in fewer steps.
FEW = (
    *SMALL,
    *(
        part
        for recipe in ("supernet", "retrain")
        for setting in ("steps=4", "warmup_steps=0")
        for part in ("--set", f"{recipe}.{setting}")
    ),
    *SAVED_ONCE,
)


@dataclass
class Ended:
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def told(self) -> list[str]:
        """The lines on standard error, without those of progress."""
        kinds = ("train ", "search ", "retrain ", "retrain-", "known-", "compare-")
        starts = tuple(f"spos: {kind}" for kind in kinds)
        return [line for line in self.err.splitlines() if not line.startswith(starts)]

    @property
    def mistake(self) -> str:
        """The one line of a mistake."""
        assert self.status == 2, (self.status, self.err)
        (line,) = self.told
        assert line.startswith("spos: error: ")
        return line.removeprefix("spos: error: ")


class Started:
    """A command in a process of its own.

    Args:
        folder: of what it prints.
        arguments: of the command.
        fork: whether the processes of its devices are forks, which start at once.
        variables: added to its environment.
        nohup: whether it ignores SIGHUP when it starts.
    """

    def __init__(
        self,
        folder: Path,
        *arguments: object,
        fork: bool = False,
        variables: Mapping[str, str] | None = None,
        nohup: bool = False,
    ) -> None:
        _serve()
        self._out, self._err = folder / "stdout", folder / "stderr"
        self.process = FORKS.Process(
            target=_main,
            args=(fork, nohup, variables or {}, self._out, self._err, *map(str, arguments)),
        )
        self.process.start()

    def wait(self) -> Ended:
        self.process.join(120)
        assert self.process.exitcode is not None, "it does not end"
        return Ended(self.process.exitcode, self._out.read_text(), self._err.read_text())

    def addresses(self) -> list[str]:
        """The addresses that it has printed so far."""
        return re.findall(r"http://\S+", self._out.read_text()) if self._out.exists() else []

    def signal(self, number: int) -> None:
        """Send a signal to its process group, as a terminal does."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid or 0, number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self.process.join(120)


def result_of(out: Path) -> dict[str, Any]:
    """What result.json holds, without the times and the digest of all."""
    result: dict[str, Any] = json.loads((out / "result.json").read_text())
    del result["seconds"], result["digest"]
    return result


def files_of(out: Path) -> list[str]:
    return sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())


def until(condition: Callable[[], object], process: ForkServerProcess) -> None:
    """Wait for something that a process does, or for its end."""
    deadline = time.monotonic() + 120
    while not condition() and process.is_alive():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.005)


def _serve() -> None:
    """Start the server where it finds ``warmed``; one that was started before serves as it is."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(Path(__file__).parent), before)))
    try:
        forkserver.ensure_running()
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


def _main(
    fork: bool,
    nohup: bool,
    variables: Mapping[str, str],
    stdout: Path,
    stderr: Path,
    *arguments: str,
) -> None:
    os.setsid()
    signal.signal(signal.SIGHUP, signal.SIG_IGN if nohup else signal.SIG_DFL)
    # The server was started while they were held, if workers of a run were its first forks.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    os.environ.update(variables)
    for descriptor, path in ((1, stdout), (2, stderr)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), descriptor)
    sys.argv = ["spos", *arguments]
    # The processes that read images start as they do under a command of a user.
    multiprocessing.set_start_method("fork", force=True)
    import torch
    from lightning_fabric.strategies import STRATEGY_REGISTRY, DDPStrategy

    from spos._cli.main import entry

    if fork:
        STRATEGY_REGISTRY.register("ddp_spawn", DDPStrategy, override=True, start_method="fork")

    from spos.export import exporting

    exporting.TIMED_SECONDS = 0.01
    # Sums over several threads are in another order, and so of another value.
    torch.set_num_threads(1)
    entry()
