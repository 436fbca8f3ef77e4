"""The command line."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click
import yaml

from spos.errors import UserError, nearest

Command = TypeVar("Command", bound=Callable[..., Any])


def _merge(*parts: Mapping[str, Any]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for part in parts:
        for name, value in part.items():
            if isinstance(value, Mapping) and isinstance(merged.get(name), Mapping):
                merged[name] = _merge(merged[name], value)
            else:
                merged[name] = value
    return merged


def _options(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    def apply(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return apply


#: Options that are another name of a setting: option, setting, help.
_ALIASES = {
    "space": ("--space", "space.name", "The search space."),
    "preset": ("--preset", "space.preset", "Its preset: imagenet, cifar or tiny."),
    "width": ("--width", "layout.width", "Multiply the channels of the preset's stages."),
    "channels": ("--channels", "layout.channels", "Channels of each stage: 64,160,320,640."),
    "depths": ("--depths", "layout.depths", "Choice blocks of each stage: 4,4,8,4."),
    "image_size": ("--image-size", "layout.image_size", "Side of the input in pixels."),
    "data": (
        "--data",
        "data.source",
        "digits, folder:PATH (or a .zip), fashion-mnist[:PATH], cifar10:PATH, cifar100:PATH.",
    ),
    "on_broken": ("--on-broken", "data.on_broken", "A broken image: fail, or skip with a count."),
    "workers": ("--workers", "data.workers", "Processes that decode streamed images."),
    "seed": ("--seed", "run.seed", "Of everything random."),
    "precision": ("--precision", "run.precision", "32-true, bf16-mixed or 16-mixed."),
    "compare": ("--compare", "run.compare", "Random networks to retrain for comparison."),
    "supernet_steps": ("--supernet-steps", "supernet.steps", "Steps of the supernet training."),
    "retrain_steps": ("--retrain-steps", "retrain.steps", "Steps of the winner's training."),
    "algorithm": ("--algorithm", "search.algorithm", "evolution or random."),
    "population": ("--population", "search.population", "Candidates an iteration."),
    "iterations": ("--iterations", "search.iterations", "Iterations of the search."),
    "storage": ("--storage", "constraint.storage", "Optuna storage URL of the evaluations."),
}
_BOUNDS = {f"{kind}_{cost}": (kind, cost) for kind in ("max", "min") for cost in ("flops", "params")}

_settings = _options(
    *(
        click.option(flag, name, help=text, metavar="VALUE")
        for name, (flag, _, text) in _ALIASES.items()
    ),
    *(
        click.option(
            f"--{kind}-{cost}",
            name,
            metavar="N",
            help=f"{'At most' if kind == 'max' else 'At least'} this many "
            f"{'multiply-adds' if cost == 'flops' else 'parameters'}, such as 330M.",
        )
        for name, (kind, cost) in _BOUNDS.items()
    ),
    click.option("--config", "config_file", metavar="FILE", help="A YAML file of settings."),
    click.option(
        "--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Any setting of the run."
    ),
)
_execution = _options(
    click.option("--out", required=True, metavar="DIR", help="The run directory, as runs/first."),
    click.option("--devices", default="1", metavar="N", help="Processes, one device each."),
    click.option("--accelerator", default="auto", metavar="NAME", help="auto, cpu, cuda or mps."),
    click.option("--threads", metavar="N", help="Threads of a process on the CPU."),
    click.option("--reuse", metavar="DIR", help="Take supernet and evaluations of another run."),
)


def _given(options: dict[str, Any]) -> dict[str, Any]:
    """The settings that the command line gives, from file to options, the later the stronger."""
    from spos.cost import parse_quantity
    from spos.settings import parse_assignments

    file: dict[str, Any] = {}
    path = options.pop("config_file")
    if path is not None:
        try:
            file = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
        except OSError as error:
            raise UserError(f"--config {path}: {error.strerror}") from error
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise UserError(f"--config {path}: {' '.join(str(error).split())}") from error
        if not isinstance(file, dict):
            raise UserError(f"--config {path}: not a mapping of sections")
    assignments = parse_assignments(options.pop("assignments"))
    named = parse_assignments(
        f"{setting}={value}"
        for name, (_, setting, _) in _ALIASES.items()
        if (value := options.pop(name)) is not None
    )
    bounds: dict[str, dict[str, float]] = {}
    for name, (kind, cost) in _BOUNDS.items():
        value = options.pop(name)
        if value is not None:
            side = bounds.setdefault("maximum" if kind == "max" else "minimum", {})
            side[cost] = parse_quantity(value, f"--{kind}-{cost}")
    return _merge(file, assignments, named, {"constraint": bounds} if bounds else {})


def _whole(text: str | None, flag: str) -> int | None:
    if text is None:
        return None
    if not text.isdigit() or int(text) < 1:
        raise UserError(f"{flag} {text}: must be a whole number from 1")
    return int(text)


def _perform(stages: tuple[str, ...], options: dict[str, Any]) -> None:
    out = Path(options.pop("out"))
    devices = _whole(options.pop("devices"), "--devices") or 1
    accelerator = options.pop("accelerator")
    threads = _whole(options.pop("threads"), "--threads")
    reuse = options.pop("reuse")
    given = _given(options)
    import torch

    from spos.console import ConsoleListener
    from spos.pipeline import run
    from spos.report import result_tables

    if threads:
        torch.set_num_threads(threads)
    listener = ConsoleListener()
    try:
        result = run(
            out,
            given,
            stages,
            listener=listener,
            devices=devices,
            accelerator=accelerator,
            reuse=Path(reuse) if reuse else None,
        )
    finally:
        listener.close()
    _print(result_tables(result))
    for name in ("report.html", "result.json"):
        if (out / name).exists():
            click.echo(f"{out / name}")


def _print(tables: list[Any]) -> None:
    from rich.console import Console

    console = Console()
    for table in tables:
        console.print(table)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="spos")
def main() -> None:
    """Find the most accurate network within a budget: single-path one-shot search."""


def _stage_command(name: str, stages: tuple[str, ...], text: str) -> None:
    @main.command(name, help=text)
    @_settings
    @_execution
    def command(**options: Any) -> None:
        _perform(stages, options)


_stage_command("train", ("train",), "Train the supernet.")
_stage_command("search", ("search",), "Search the trained supernet.")
_stage_command("retrain", ("retrain",), "Train the winner from scratch and test it.")
_stage_command("run", ("train", "search", "retrain"), "Train, search, retrain, and report.")


@main.command()
@click.argument("run", metavar="DIR")
@click.option("--json", "as_json", is_flag=True, help="Print result.json as it is.")
def show(run: str, as_json: bool) -> None:
    """Print the result of a run as a table."""
    from spos.files import read_json
    from spos.report import result_tables

    path = Path(run) / "result.json"
    if not path.exists():
        raise UserError(f"{path} does not exist: is {run} the directory of a run?")
    try:
        result = read_json(path)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is damaged ({error}): repeat the run's command to write it again") from error
    if as_json:
        click.echo(json.dumps(result, indent=2))
    else:
        _print(result_tables(result))


@main.command()
@click.argument("space", default="shufflenetv2")
@click.option("--preset", default="imagenet", metavar="NAME", help="Of the space.")
@click.option("--arch", "architecture", required=True, help="Option indices, or JSON of names.")
@click.option("--classes", default="1000", metavar="N", help="Classes of the classifier.")
@click.option("--image-channels", default="3", metavar="N", help="3 for colour, 1 for grey.")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="A layout setting.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def profile(
    space: str,
    preset: str,
    architecture: str,
    classes: str,
    image_channels: str,
    assignments: tuple[str, ...],
    as_json: bool,
) -> None:
    """Print the multiply-adds and parameters of an architecture."""
    from spos.profile import profile_architecture, profile_table

    facts = profile_architecture(
        space,
        preset,
        architecture,
        classes=_whole(classes, "--classes") or 0,
        image_channels=_whole(image_channels, "--image-channels") or 0,
        assignments=assignments,
    )
    if as_json:
        click.echo(json.dumps(facts))
    else:
        _print([profile_table(facts)])


def entry() -> None:
    """Run the command line: one line and status 2 for a mistake, 130 for Ctrl-C."""
    # Set before a library is imported, whose threads would read it.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        main(standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        sys.exit(0)
    except click.ClickException as error:
        click.echo(f"spos: error: {_one_line(error)}", err=True)
        sys.exit(2)
    except UserError as error:
        click.echo(f"spos: error: {error}", err=True)
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        click.echo("spos: interrupted; the state is saved, the same command goes on", err=True)
        sys.exit(130)


def _one_line(error: click.ClickException) -> str:
    if isinstance(error, click.UsageError) and isinstance(error, click.exceptions.UsageError):
        text = " ".join(error.format_message().split())
        if text.startswith("No such command"):
            given = text.split("'")[1]
            return f"unknown command '{given}': {nearest(given, main.commands)}"
        return text
    return " ".join(error.format_message().split())


if __name__ == "__main__":
    entry()
