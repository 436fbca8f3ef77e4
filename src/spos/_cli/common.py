"""What several commands share: how a run is executed, and how tables are printed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import click

from spos._cli.options import read_settings
from spos._util.errors import UserError
from spos._util.text import printable

if TYPE_CHECKING:
    from spos.run.nodes import Nodes

#: Columns that a table has at least, whatever the terminal says.
NARROWEST = 40


@contextmanager
def execution(options: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Arguments of how a run is executed, with a listener that is closed at the end."""
    threads = options["threads"]
    _set_threads(threads)

    from spos._util.console import ConsoleListener
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


def run_stage(name: str, options: dict[str, Any]) -> Any:
    """Run one stage of a run, in the processes of several machines if there are any.

    Returns:
        The result; None in a process other than the first.
    """
    count = options.get("num_nodes", 1)
    if count == 1:
        return _run_stage(name, options)
    if str(options["workers"]).startswith("ray"):
        raise UserError(
            f"--num-nodes {count} and --workers {options['workers']}: trainings are shared by "
            "nodes or by Ray; give one of the two"
        )
    _set_threads(options["threads"])
    from spos.run.nodes import Nodes

    with Nodes(count, options["devices"], options["accelerator"]) as nodes:
        if nodes.is_first:
            return _run_stage(name, options, nodes)
        return nodes.serve()


def _run_stage(name: str, options: dict[str, Any], nodes: Nodes | None = None) -> Any:
    given = read_settings(options)
    with execution(options) as arguments:
        from spos.run import run

        if nodes is not None:
            arguments |= {"nodes": nodes, "devices": nodes.count * options["devices"]}
        arguments["compare"] = options.get("compare") or 0
        arguments["compare_with"] = options.get("compare_with", ())
        more = {key: options[key] for key in ("reuse", "loggers")}
        return run(options["out"], given, (name,), **more, **arguments)


def _set_threads(threads: int | None) -> None:
    if threads is None:
        return
    # The processes that this one starts read it too, as torch does when it is imported.
    os.environ["OMP_NUM_THREADS"] = str(threads)
    import torch

    torch.set_num_threads(threads)


def print_tables(tables: Iterable[Any]) -> None:
    """Print tables and texts for the terminal, one after the other."""
    from rich.console import Console

    console = Console()
    # A terminal without a width says 0, on which every letter would have a line of its own.
    console.width = max(console.width, NARROWEST)
    for table in tables:
        console.print(table)


def say(text: object, *, err: bool = False) -> None:
    """Print a line; a name in it may have characters that a terminal would obey."""
    click.echo(printable(str(text)), err=err)
