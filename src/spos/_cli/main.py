"""The command line."""

from __future__ import annotations

import gc
import json
import os
import shlex
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from spos._cli.commands import (
    dashboard_command,
    export_command,
    predict_command,
    push_command,
)
from spos._cli.common import print_tables, run_stage, say
from spos._cli.help import TopicCommand
from spos._cli.latency import latency_command
from spos._cli.options import (
    COUNT,
    PROCESSORS,
    SHARE,
    WORKERS,
    combine_options,
    logger_option,
    setting_options,
)
from spos._util.errors import UserError, nearest
from spos._util.interrupt import handle_by, raise_interrupt
from spos._util.streams import open_streams
from spos._util.text import printable, redact
from spos._util.version import __version__

#: Characters of the longest error line; what was given may be of any length.
LONGEST = 1000

_out_option = click.option(
    "--out", type=Path, required=True, metavar="DIR", help="Run directory, such as runs/first."
)
_device_options = combine_options(
    click.option(
        "--devices",
        type=PROCESSORS,
        default=1,
        metavar="N",
        help="Processes, each with one device.",
    ),
    click.option(
        "--accelerator",
        default="auto",
        metavar="NAME",
        help="Kind of device: auto, cpu, cuda or mps.",
    ),
    click.option(
        "--workers",
        type=WORKERS,
        metavar="N",
        help="Processes that evaluate and train networks side by side; ray or ray://HOST:PORT for "
        "those of a Ray cluster.",
    ),
    click.option(
        "--worker-cpus", type=SHARE, metavar="X", help="CPU cores of each Ray worker, such as 2."
    ),
    click.option(
        "--worker-gpus", type=SHARE, metavar="X", help="GPUs of each Ray worker, such as 0.5."
    ),
    click.option("--threads", type=PROCESSORS, metavar="N", help="CPU threads of each process."),
    click.option(
        "--reuse", type=Path, metavar="DIR", help="Run to take the supernet and evaluations from."
    ),
)
_nodes_option = click.option(
    "--num-nodes",
    type=PROCESSORS,
    default=1,
    metavar="N",
    help="Machines that train together, each with so many devices; the command is started on each "
    "by torchrun or Slurm.",
)
_execution_options = combine_options(_out_option, _device_options)
_time_option = click.option(
    "--time", "duration", metavar="TIME", help="Time for everything, such as 20m or 1h30m."
)
_compare_options = combine_options(
    click.option(
        "--compare",
        type=COUNT,
        metavar="N",
        help="Also retrain N random networks of the winner's cost.",
    ),
    click.option(
        "--compare-with",
        multiple=True,
        metavar="NAME",
        help="Also train a known network: mobilenet_v2, mobilenet_v2@fit, timm:NAME or "
        "torchvision:NAME.",
    ),
)


def _finish(out: Path, result: Any) -> None:
    from spos.report import result_tables

    print_tables(result_tables(result))
    for name in ("report.html", "result.json"):
        if (out / name).exists():
            say(out / name)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="spos")
def main() -> None:
    """Find the most accurate network within a budget, by single-path one-shot search."""


def _add_stage(name: str, text: str, *options: Callable[[Any], Any]) -> None:
    """Add the command of one stage of a run."""

    @main.command(name, cls=TopicCommand, help=text)
    @combine_options(setting_options, _execution_options, logger_option, *options)
    def stage(**options: Any) -> None:
        result = run_stage(name, options)
        if result is not None:
            _finish(options["out"], result)


_add_stage("train", "Train the supernet.", _nodes_option)
_add_stage("search", "Search the trained supernet for the best architecture.")
_add_stage("retrain", "Train the winner from scratch and test it.", _compare_options, _nodes_option)


@main.command("run", cls=TopicCommand)
@setting_options
@click.option(
    "--out", metavar="DIR", help="Run directory; by default named after images, limits and time."
)
@_device_options
@logger_option
@_compare_options
@_time_option
@click.option("--yes", is_flag=True, help="Do not ask before a run of more than an hour.")
def _run(**options: Any) -> None:
    """Train, search and retrain, and write a report.

    Without a space, everything that is not given is chosen to suit the images, the limits, the time
    and this machine.
    """
    from spos._cli.plan import next_commands, perform_run

    out, result, limited = perform_run(options)
    _finish(out, result)
    for line in next_commands(out, result, limited):
        say(line)


@main.command("plan", cls=TopicCommand)
@setting_options
@_device_options
@_time_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def _plan(as_json: bool, **options: Any) -> None:
    """Print what spos run would do, and how long it takes."""
    from spos._cli.plan import make_plan, plan_tables
    from spos._util.records import to_plain

    plan = make_plan(options)
    if as_json:
        click.echo(json.dumps(to_plain(plan)))
    else:
        print_tables(plan_tables(plan))


@main.command("doctor", cls=TopicCommand)
@setting_options
@_execution_options
@click.option("--networks", type=COUNT, default=12, metavar="N", help="Random networks to train.")
@click.option("--seeds", type=COUNT, default=2, metavar="N", help="Trainings of each network.")
@click.option("--yes", is_flag=True, help="Do not ask before a check of more than an hour.")
def _doctor(networks: int, seeds: int, **options: Any) -> None:
    """Check whether a search can find a better network at all."""
    from spos._cli.plan import perform_check
    from spos.report.diagnosis import doctor_tables

    print_tables(doctor_tables(perform_check(options, networks=networks, seeds=seeds)))


@main.command("show")
@click.argument("run", metavar="DIR")
@click.option("--json", "as_json", is_flag=True, help="Print result.json unchanged.")
def _show(run: str, as_json: bool) -> None:
    """Print the result of a run as tables."""
    path = Path(run) / "result.json"
    if not path.exists():
        raise UserError(f"{run} is not a run directory: it has no result.json")
    from spos.report import result_tables
    from spos.report.result import read_result

    result = read_result(path)
    if as_json:
        click.echo(path.read_text(encoding="utf-8"), nl=False)
    else:
        print_tables(result_tables(result))


@main.command("profile")
@click.argument("space", default="shufflenetv2")
@click.option("--preset", default="imagenet", metavar="NAME", help="Preset of the space.")
@click.option(
    "--arch",
    "architecture",
    required=True,
    help="Option indices, JSON of option names, or the name of a published network.",
)
@click.option("--classes", type=COUNT, default=1000, metavar="N", help="Number of classes.")
@click.option(
    "--image-channels", type=COUNT, default=3, metavar="N", help="3 for colour images, 1 for grey."
)
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Layout setting.")
@click.option("--latency-table", metavar="FILE", help="Table that spos latency wrote.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def _profile(as_json: bool, **options: Any) -> None:
    """Print what an architecture costs."""
    from spos._cli.costs import profile_architecture, profile_table

    facts = profile_architecture(**options)
    if as_json:
        click.echo(json.dumps(facts))
    else:
        print_tables([profile_table(facts)])


@main.command("spaces")
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def _spaces(name: str | None, as_json: bool) -> None:
    """List the search spaces, or the presets of one."""
    from rich.console import Console

    from spos._cli.costs import list_spaces, spaces_table

    # Counting takes seconds for each space that is not of spos.
    with Console(stderr=True).status("counting the costs of every space"):
        rows = list(list_spaces(name))
    if as_json:
        click.echo(json.dumps(rows))
        return
    print_tables([spaces_table(rows)])
    for paper in dict.fromkeys(f"{row['space']}: {row['paper']}" for row in rows):
        click.echo(paper)


@main.command("import-official")
@click.argument("checkpoint", metavar="CHECKPOINT")
@click.option("--out", required=True, metavar="DIR", help="Run directory, such as runs/official.")
def _import_official(checkpoint: str, out: str) -> None:
    """Start a run from the supernet of the official release."""
    from spos.run.reuse import import_official_run

    facts = import_official_run(Path(checkpoint), Path(out))
    size = f"{facts['tensors']} tensors, {facts['classes']} classes"
    say(f"{size}: {out} is ready to search")
    named = shlex.quote(out)
    say(f"next: spos search --out {named} --data folder:PATH --max-flops 330M")


for _command in (
    dashboard_command,
    export_command,
    latency_command,
    predict_command,
    push_command,
):
    main.add_command(_command)


def entry() -> None:
    """Run the command line: one line and status 2 for a mistake, 130 for Ctrl-C."""
    if instruction := os.environ.get("_SPOS_COMPLETE"):
        from click.shell_completion import shell_complete

        try:
            sys.exit(shell_complete(main, {}, "spos", "_SPOS_COMPLETE", instruction))
        except (KeyError, ValueError) as error:
            _fail(f"_SPOS_COMPLETE={instruction}: the shell did not say what to complete ({error})")
    open_streams()
    # Imported objects live until the end: search them for garbage a tenth as often.
    gc.set_threshold(*gc.get_threshold()[:2], 100)
    # Before a library is imported that reads it.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    handle_by(raise_interrupt)
    try:
        # Not main(), which would print an empty line before ours on Ctrl-C.
        with main.make_context("spos", sys.argv[1:]) as context:
            main.invoke(context)
        sys.stdout.flush()
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
    except click.ClickException as error:
        _fail(_one_line(error))
    except KeyboardInterrupt as interrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with suppress(OSError):  # The terminal may be closed.
            click.echo("; ".join(filter(None, ("spos: interrupted", str(interrupt)))), err=True)
        # Not sys.exit: if the signal arrived in code run by exec, Python would exit with another
        # status.
        os._exit(130)
    except BrokenPipeError:
        # Whoever reads the output has closed it, as head does.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        from spos._util.errors import explain

        line = explain(error)
        if line is None:
            raise
        _fail(line)


def _fail(line: str) -> None:
    line = redact(printable(line))
    if len(line) > LONGEST:
        line = f"{line[: LONGEST // 2]} ... {line[-LONGEST // 2 :]}"
    # The status says it where nobody can be told.
    with suppress(OSError):
        click.echo(f"spos: error: {line}", err=True)
    sys.exit(2)


def _one_line(error: click.ClickException) -> str:
    text = " ".join(error.format_message().split())
    if text.startswith("No such command"):
        given = text.split("'")[1]
        return f"unknown command '{given}': {nearest(given, main.commands)}"
    if isinstance(error, click.NoSuchOption) and error.ctx is not None:
        name, given = error.ctx.info_name, error.option_name
        have = [
            f"spos {command.name}"
            for command in main.commands.values()
            if any(given in parameter.opts for parameter in command.params)
        ]
        if have:
            return f"spos {name} has no option {given}; commands that have it: {', '.join(have)}"
    return text
