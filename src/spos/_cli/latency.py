"""``spos latency``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from spos._util.errors import UserError

#: Options that a table holds, so that a validation does not take them.
_OF_TABLE = (
    *("run", "space", "preset", "assignments", "classes", "image_channels"),
    *("backend", "accelerator", "threads", "batch", "channels_last", "out"),
)


@click.command("latency")
@click.option("--space", metavar="NAME", help="Search space.")
@click.option("--preset", metavar="NAME", help="Preset of the space: imagenet, cifar or tiny.")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Layout setting.")
@click.option("--classes", metavar="N", help="Number of classes.")
@click.option("--image-channels", metavar="N", help="3 for colour images, 1 for grey.")
@click.option("--run", metavar="DIR", help="Run to take all of these from.")
@click.option("--backend", metavar="NAME", help="Backend: torch, torch.compile or onnxruntime.")
@click.option("--accelerator", metavar="NAME", help="Kind of device: cpu or cuda.")
@click.option("--threads", metavar="N", help="CPU threads.")
@click.option("--batch", metavar="N", help="Images of a batch.")
@click.option("--channels-last", is_flag=True, help="Store images and weights channels-last.")
@click.option(
    "--rounds", metavar="N", help="Samples of each part, or of each network of a validation."
)
@click.option("--out", metavar="FILE", help="Table to write, such as cpu.json.")
@click.option("--validate", metavar="FILE", help="Table to compare with random whole networks.")
@click.option("--networks", metavar="N", help="Networks of a validation; 50 by default.")
@click.option("--seed", metavar="N", help="Seed of the networks of a validation.")
@click.option("--fit", is_flag=True, help="Correct the table by what the validation fits.")
def latency_command(**options: Any) -> None:
    """Measure the latency of every option on this device, or validate such a table."""
    if options["validate"] is not None:
        _validate(options)
        return
    for name in ("networks", "seed", "fit"):
        if options[name]:
            raise UserError(f"--{name}: it belongs to --validate FILE")
    if options["out"] is None:
        raise UserError("--out is missing: give the table to write, such as --out cpu.json")
    _measure(options)


def _measure(options: dict[str, Any]) -> None:
    numbers = {name: _whole(options, name, 1) for name in ("threads", "batch")}
    classes = _whole(options, "classes", None)
    image_channels = _whole(options, "image_channels", None)
    from spos.cost.latency.measure import ROUNDS
    from spos.run.latency import measure_file

    rounds = _whole(options, "rounds", ROUNDS)
    with _listener() as listener:
        table, supernet, old = measure_file(
            Path(options["out"]),
            run=options["run"],
            space=options["space"],
            preset=options["preset"],
            assignments=options["assignments"],
            classes=classes,
            image_channels=image_channels,
            backend=options["backend"] or "torch",
            accelerator=options["accelerator"] or "cpu",
            channels_last=options["channels_last"],
            rounds=rounds or ROUNDS,
            listener=listener,
            **numbers,
        )
        if old:
            listener.message(f"{options['out']} is measured already: delete it to measure again")
    from spos._cli.latency_summary import summary_table

    _print(summary_table(table, supernet))
    click.echo(options["out"])
    if not table.fit.networks:
        click.echo(
            "a network takes more or less than the sum of its parts: correct the table with\n"
            f"  spos latency --validate {options['out']} --fit"
        )


def _validate(options: dict[str, Any]) -> None:
    for name in _OF_TABLE:
        if options[name]:
            flag = "set" if name == "assignments" else name.replace("_", "-")
            raise UserError(f"--{flag}: the table of --validate holds it; leave it out")
    path = Path(options["validate"])
    networks, seed = _whole(options, "networks", 50), _whole(options, "seed", 0, least=0)
    from spos.cost.latency.validate import ROUNDS
    from spos.run.latency import validate_file

    rounds = _whole(options, "rounds", ROUNDS)
    with _listener() as listener:
        result, written = validate_file(
            path,
            networks=networks or 0,
            seed=seed or 0,
            rounds=rounds or 0,
            fit=options["fit"],
            listener=listener,
        )
    from spos._cli.latency_summary import validation_table

    _print(validation_table(result))
    for file in written:
        click.echo(f"{file}")


def _whole(
    options: dict[str, Any], name: str, default: int | None, *, least: int = 1
) -> int | None:
    text = options[name]
    if text is None:
        return default
    if not (text.isascii() and text.isdigit()) or int(text) < least:
        raise UserError(f"--{name.replace('_', '-')} {text}: must be a whole number from {least}")
    return int(text)


def _listener() -> Any:
    from contextlib import closing

    from spos._cli.console import ConsoleListener

    return closing(ConsoleListener())


def _print(table: Any) -> None:
    from rich.console import Console

    Console().print(table)
