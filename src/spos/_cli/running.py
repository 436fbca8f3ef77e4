"""What makes a run: its stages, ``run``, ``plan``, ``doctor`` and ``import-official``."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from spos._cli.common import print_tables, run_stage, say
from spos._cli.help import TopicCommand
from spos._cli.kinds import COUNT, PATH, PROCESSORS, SHARE, TEXT, WORKERS, Count, one_of
from spos._cli.options import combine_options, logger_option, setting_options

_out_option = click.option(
    "--out", type=PATH, required=True, metavar="DIR", help="Run directory, such as runs/first."
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
        type=one_of("auto", "cpu", "cuda", "mps"),
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
        "--reuse", type=PATH, metavar="DIR", help="Run to take the supernet and evaluations from."
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
        type=Count(COUNT.most, least=0),
        metavar="N",
        help="Also retrain N random networks of the winner's cost; 0 for none.",
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


def _stage_command(name: str, text: str, *options: Callable[[Any], Any]) -> click.Command:
    """The command of one stage of a run."""

    @click.command(name, cls=TopicCommand, help=text)
    @combine_options(setting_options, _execution_options, logger_option, *options)
    def stage(**options: Any) -> None:
        result = run_stage(name, options)
        if result is not None:
            _finish(options["out"], result)

    return stage


train_command = _stage_command("train", "Train the supernet.", _nodes_option)
search_command = _stage_command("search", "Search the trained supernet for the best architecture.")
retrain_command = _stage_command(
    "retrain", "Train the winner from scratch and test it.", _compare_options, _nodes_option
)


@click.command("run", cls=TopicCommand)
@setting_options
@click.option(
    "--out",
    type=TEXT,
    metavar="DIR",
    help="Run directory; by default named after images, limits and time.",
)
@_device_options
@logger_option
@_compare_options
@_time_option
@click.option("--yes", is_flag=True, help="Do not ask before a run of more than an hour.")
def run_command(**options: Any) -> None:
    """Train, search and retrain, and write a report.

    Without a space, everything that is not given is chosen to suit the images, the limits, the time
    and this machine.
    """
    from spos._cli.plan import next_commands, perform_run

    out, result, limited = perform_run(options)
    _finish(out, result)
    for line in next_commands(out, result, limited):
        say(line)


@click.command("plan", cls=TopicCommand)
@setting_options
@_device_options
@_time_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def plan_command(as_json: bool, **options: Any) -> None:
    """Print what spos run would do, and how long it takes."""
    from spos._cli.plan import make_plan, plan_tables
    from spos._util.records import to_plain

    plan = make_plan(options)
    if as_json:
        click.echo(json.dumps(to_plain(plan)))
    else:
        print_tables(plan_tables(plan))


@click.command("doctor", cls=TopicCommand)
@setting_options
@_execution_options
@click.option("--networks", type=COUNT, default=12, metavar="N", help="Random networks to train.")
@click.option("--seeds", type=COUNT, default=2, metavar="N", help="Trainings of each network.")
@click.option("--yes", is_flag=True, help="Do not ask before a check of more than an hour.")
def doctor_command(networks: int, seeds: int, **options: Any) -> None:
    """Check whether a search can find a better network at all."""
    from spos._cli.plan import perform_check
    from spos.report.diagnosis import doctor_tables

    print_tables(doctor_tables(perform_check(options, networks=networks, seeds=seeds)))


@click.command("import-official")
@click.argument("checkpoint", type=TEXT, metavar="CHECKPOINT")
@click.option(
    "--out", type=TEXT, required=True, metavar="DIR", help="Run directory, such as runs/official."
)
def import_official_command(checkpoint: str, out: str) -> None:
    """Start a run from the supernet of the official release."""
    from spos.run.reuse import import_official_run

    facts = import_official_run(Path(checkpoint), Path(out))
    size = f"{facts['tensors']} tensors, {facts['classes']} classes"
    say(f"{size}: {out} is ready to search")
    named = shlex.quote(out)
    say(f"next: spos search --out {named} --data folder:PATH --max-flops 330M")
