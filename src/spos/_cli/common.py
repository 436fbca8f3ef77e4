"""What several commands share: how a run is executed, and how tables are printed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from typing import Any


@contextmanager
def execution(options: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Arguments of how a run is executed, with a listener that is closed at the end."""
    threads = options["threads"]
    if threads is not None:
        # The processes that this one starts read it too.
        os.environ["OMP_NUM_THREADS"] = str(threads)
    import torch

    from spos._cli.console import ConsoleListener

    if threads is not None:
        torch.set_num_threads(threads)
    from spos.run.workers import make_workers

    given = {name: options[name] for name in ("devices", "accelerator")}
    with (
        closing(ConsoleListener()) as listener,
        closing(
            make_workers(
                options["workers"],
                threads,
                options["accelerator"],
                cpus=options["worker_cpus"],
                gpus=options["worker_gpus"],
            )
        ) as workers,
    ):
        yield {"listener": listener, "workers": workers, **given}


def print_tables(tables: Iterable[Any]) -> None:
    """Print tables and texts for the terminal, one after the other."""
    from rich.console import Console

    console = Console()
    for table in tables:
        console.print(table)
