"""``spos latency``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from spos._util.errors import UserError

#: Options that the table says, so that a validation takes none of them.
_OF_TABLE = (
    *("run", "space", "preset", "assignments", "classes", "image_channels"),
    *("backend", "accelerator", "threads", "batch", "channels_last", "out"),
)


@click.command("latency")
@click.option("--space", metavar="NAME", help="The search space.")
@click.option("--preset", metavar="NAME", help="Of the space: imagenet, cifar or tiny.")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="A layout setting.")
@click.option("--classes", metavar="N", help="Classes of the classifier.")
@click.option("--image-channels", metavar="N", help="3 for colour, 1 for grey.")
@click.option("--run", metavar="DIR", help="Take all of these from a run.")
@click.option("--backend", metavar="NAME", help="torch, torch.compile or onnxruntime.")
@click.option("--accelerator", metavar="NAME", help="cpu or cuda.")
@click.option("--threads", metavar="N", help="Threads on the CPU.")
@click.option("--batch", metavar="N", help="Images at once.")
@click.option("--channels-last", is_flag=True, help="The memory layout of images and weights.")
@click.option("--rounds", metavar="N", help="Samples of each part, or of each network.")
@click.option("--out", metavar="FILE", help="The table to write, as cpu.json.")
@click.option("--validate", metavar="FILE", help="Compare a table with random whole networks.")
@click.option("--networks", metavar="N", help="Of a validation; 50 without it.")
@click.option("--seed", metavar="N", help="Of the networks of a validation.")
@click.option("--fit", is_flag=True, help="Write what the validation fits into the table.")
def latency_command(**options: Any) -> None:
    """Measure the latency of every option on this device, or validate such a table."""
    if options["validate"] is not None:
        _validate(options)
        return
    for name in ("networks", "seed", "fit"):
        if options[name]:
            raise UserError(f"--{name}: it belongs to --validate FILE")
    if options["out"] is None:
        raise UserError("--out FILE is missing: the table to write, such as --out cpu.json")
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
            "a network takes less or more than its parts by themselves: correct the table with\n"
            f"  spos latency --validate {options['out']} --fit"
        )


def _validate(options: dict[str, Any]) -> None:
    for name in _OF_TABLE:
        if options[name]:
            flag = "set" if name == "assignments" else name.replace("_", "-")
            raise UserError(f"--{flag}: the table of --validate says that; leave it out")
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
