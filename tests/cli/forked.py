"""The command line in processes that are forked from one with everything imported: they start at once."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    [
        "spos.pipeline",
        "spos.console",
        "alembic.command",
        "optuna.storages._rdb.storage",
        "sklearn.datasets",
        "torch.utils.tensorboard",
    ]
)


def start(arguments: Sequence[str], stdout: Path, stderr: Path) -> ForkServerProcess:
    """Start ``spos`` with arguments, in a process group of its own."""
    process = FORKS.Process(target=_main, args=(list(arguments), str(stdout), str(stderr)))
    process.start()
    return process


def _main(arguments: list[str], stdout: str, stderr: str) -> None:
    os.setsid()
    for descriptor, path in ((1, stdout), (2, stderr)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), descriptor)
    sys.argv = ["spos", *arguments]
    from spos.cli import entry

    entry()
