"""``spos latency``."""

from __future__ import annotations

import shlex
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from spos._cli.common import print_tables, say
from spos._cli.kinds import COUNT, PROCESSORS, SPACE, TEXT
from spos._util.errors import UserError
from spos._util.text import printable

#: Options that name the supernet to measure, and all that a table holds.
_SOURCE = ("run", "space", "preset", "assignments", "classes", "image_channels")
_OF_TABLE = (*_SOURCE, "backend", "accelerator", "threads", "batch", "channels_last", "out")


@click.command("latency")
@click.option("--space", type=SPACE, metavar="NAME", help="Search space.")
@click.option("--preset", metavar="NAME", help="Preset of the space, such as cifar, small or tiny.")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Layout setting.")
@click.option("--classes", type=COUNT, metavar="N", help="Number of classes.")
@click.option("--image-channels", type=COUNT, metavar="N", help="3 for colour images, 1 for grey.")
@click.option("--run", type=TEXT, metavar="DIR", help="Run to take all of these from.")
@click.option("--backend", metavar="NAME", help="Backend: torch, torch.compile or onnxruntime.")
@click.option("--accelerator", metavar="NAME", help="Kind of device: cpu or cuda.")
@click.option("--threads", type=PROCESSORS, metavar="N", help="CPU threads.")
@click.option("--batch", type=COUNT, metavar="N", help="Images of a batch.")
@click.option("--channels-last", is_flag=True, help="Store images and weights channels-last.")
@click.option("--rounds", type=COUNT, metavar="N", help="Samples of each part or network.")
@click.option("--out", type=TEXT, metavar="FILE", help="Table to write, such as cpu.json.")
@click.option("--validate", metavar="FILE", help="Table to compare with random whole networks.")
@click.option("--networks", type=COUNT, metavar="N", help="Networks to validate on, 50 by default.")
@click.option("--seed", type=click.IntRange(0), metavar="N", help="Seed of these networks.")
@click.option("--fit", is_flag=True, help="Correct the table by what the validation fits.")
def latency_command(**options: Any) -> None:
    """Measure the latency of every option on this device, or validate such a table."""
    given = {name: value for name, value in options.items() if value not in (None, (), False)}
    table = given.pop("validate", None)
    for name in _OF_TABLE if table else ("networks", "seed", "fit"):
        if name in given:
            flag = "set" if name == "assignments" else name.replace("_", "-")
            why = "the table of --validate holds it; leave it out"
            raise UserError(f"--{flag}: {why if table else 'it belongs to --validate FILE'}")
    if table:
        _validate(Path(table), given)
    elif "out" in given:
        _measure(Path(given.pop("out")), given)
    else:
        raise UserError("--out is missing: give the table to write, such as --out cpu.json")


def _measure(out: Path, given: dict[str, Any]) -> None:
    from spos._util.console import ConsoleListener
    from spos.run.latency import measure_file, resolve_source

    source = resolve_source(**{name: given.pop(name) for name in _SOURCE if name in given})
    with closing(ConsoleListener()) as listener:
        table, supernet, old = measure_file(out, source, listener=listener, **given)
        if old:
            listener.message(f"{out} is measured already: delete it to measure again")
    from spos._cli.latency_summary import summary_table

    print_tables([summary_table(table, supernet)])
    say(out)
    if not table.fit.networks:
        click.echo(
            "a network takes more or less than the sum of its parts: correct the table with\n"
            f"  spos latency --validate {printable(shlex.quote(str(out)))} --fit"
        )


def _validate(path: Path, given: dict[str, Any]) -> None:
    from spos._util.console import ConsoleListener
    from spos.run.latency import validate_file

    with closing(ConsoleListener()) as listener:
        result, written = validate_file(path, listener=listener, **given)
    from spos._cli.latency_summary import validation_table

    print_tables([validation_table(result)])
    for file in written:
        say(file)
