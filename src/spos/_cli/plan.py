"""Runs whose settings are planned: ``spos run``, ``spos plan`` and ``spos doctor``."""

from __future__ import annotations

import math
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from spos._cli.common import execution, say
from spos._cli.options import BOUNDS, read_settings
from spos._util.errors import UserError
from spos._util.text import folder_name

if TYPE_CHECKING:
    from rich.table import Table

    from spos.report.diagnosis import Diagnosis
    from spos.report.result import Result
    from spos.run.planning.plan import Plan

#: Seconds of a run above which the user is asked.
LONG = 3600.0


def perform_run(options: dict[str, Any]) -> tuple[Path, Result, list[str]]:
    """Run all stages by the options of the command line.

    Returns:
        The run directory, the result, and the costs that the user limited.

    Raises:
        UserError: an option is not valid.
    """
    began = time.monotonic()
    out = Path(options["out"] or _directory(options))
    text, yes = options.pop("duration"), options.pop("yes")
    given = read_settings(options)
    with execution(options) as arguments:
        from spos.run.planning.duration import parse_duration
        from spos.run.planning.execute import run_planned

        result = run_planned(
            out,
            given,
            seconds=None if text is None else parse_duration(text),
            confirm=None if yes else _confirm,
            began=began,
            **{name: options[name] for name in ("threads", "reuse", "loggers")},
            **{name: options[name] for name in ("compare", "compare_with")},
            **arguments,
        )
    return out, result, list(given.get("constraint", {}).get("maximum", {}))


def perform_check(options: dict[str, Any], *, networks: int, seeds: int) -> Diagnosis:
    """Check by the options of the command line whether a space can be searched.

    Raises:
        UserError: an option is not valid, or the check was not confirmed.
    """
    if options["reuse"] is not None:
        raise UserError("--reuse: spos doctor trains networks without a supernet; leave it out")
    yes, given = options.pop("yes"), read_settings(options)
    with execution(options) as arguments:
        from spos.run.planning.diagnosing import doctor_planned

        return doctor_planned(
            Path(options["out"]),
            given,
            threads=options["threads"],
            confirm=None if yes else lambda seconds: seconds < LONG or _asked(),
            networks=networks,
            seeds=seeds,
            **arguments,
        )


def make_plan(options: dict[str, Any]) -> Plan:
    """Plan a run by the options of the command line.

    Raises:
        UserError: an option is not valid.
    """
    reuse, text = options["reuse"], options.pop("duration")
    if reuse is not None and text is None:
        raise UserError("--reuse: a run that is reused has its settings already; give a --time")
    given = read_settings(options)
    with execution(options) as arguments:
        from spos.run import RunDirectory
        from spos.run.initial import with_digests
        from spos.run.planning.duration import parse_duration
        from spos.run.planning.planner import Planner
        from spos.run.unused import describe_unused

        planner = Planner(
            with_digests(given),
            None if text is None else parse_duration(text),
            accelerator=options["accelerator"],
            threads=options["threads"],
            reuse=RunDirectory(reuse) if reuse else None,
            processes=arguments["workers"].count,
        )
        plan = planner.plan()
        for line in describe_unused(planner.config(), given, compared=True):
            say(f"spos: {line}", err=True)
        return plan


def plan_tables(plan: Plan) -> list[Table | str]:
    """Tables of a plan: what is chosen and why, and the time of each stage on this machine."""
    from rich.table import Column, Table

    from spos._util.settings import show_value
    from spos.report.words import duration

    value = Column("value", overflow="fold")
    chosen = Table("setting", value, "why", title="Chosen for you", title_justify="left")
    for choice in plan.choices:
        if choice.reason:
            chosen.add_row(choice.setting, show_value(choice.value), choice.reason)
    time = Column("time", justify="right")
    times = Table("stage", time, title="Expected time", title_justify="left")
    for one in plan.estimates:
        times.add_row(one.stage, duration(one.seconds))
    times.add_row("in all", duration(plan.total))
    return [*([chosen] if chosen.rows else []), times, plan.machine]


def next_commands(out: Path, result: Result, limited: Sequence[str] = ()) -> list[str]:
    """Commands to go on with after a run: another budget, a file, a prediction.

    Args:
        out (Path): run directory.
        result (Result): result of the run.
        limited (Sequence[str]): costs that the user limited; the budget is of the first of them.
    """
    from spos.run import RunDirectory
    from spos.run.outcome import SearchOutcome

    lines, named = [], shlex.quote(str(out))
    searched = RunDirectory(out).outcome(SearchOutcome)
    # A supernet that was trained with its architecture serves no other budget.
    alone = result.search is None or bool(result.search.method)
    if searched is not None and result.winner is not None and not (result.budgets or alone):
        cost = next((name for name in limited if name in result.winner.costs), "flops")
        value = result.winner.costs[cost]
        # A budget that some network is known to satisfy.
        least = min(candidate.costs[cost] for candidate in searched.candidates)
        # A latency by a fit may be 0 or below.
        budget = _round_up(max(0.6 * value, least, 1.0))
        if budget < 0.95 * value:
            text = f"{budget / 1e6:g}ms" if cost == "latency" else _written(budget)
            flag = f"--max-{cost} {text}" if f"max_{cost}" in BOUNDS else f"--max {cost}={text}"
            other = shlex.quote(f"{out}-{text}")
            lines.append(f"spos run --reuse {named} {flag} --out {other}")
    if result.test_score is not None:
        lines.append(f"spos export {named}")
        lines += [f"spos predict {named} photo.jpg"] if result.metric.name == "top-1" else []
    return ["", "Next:", *(f"  {line}" for line in lines)] if lines else []


def _written(count: float) -> str:
    """A count as an option takes it.

    Example:
        >>> _written(2), _written(360000), _written(3e6)
        ('2', '360K', '3M')
    """
    factor, suffix = next((one for one in ((1e6, "M"), (1e3, "K")) if count >= one[0]), (1.0, ""))
    return f"{count / factor:g}{suffix}"


def _round_up(value: float) -> float:
    """Round up to two significant digits.

    Example:
        >>> _round_up(1234567), _round_up(372.0)
        (1300000.0, 380.0)
    """
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return float(math.ceil(value / unit) * unit)


def _confirm(plan: Plan) -> bool:
    if plan.seconds is not None or plan.total < LONG or not _asks():
        return True
    from spos.run.planning.execute import describe

    for line in describe(plan):
        click.echo(f"spos: {line}", err=True)
    return _asked()


def _asks() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _asked() -> bool:
    """Ask whether to begin; nobody is asked who cannot answer."""
    return not _asks() or click.confirm("Start it?", default=True, err=True)


def _directory(options: dict[str, Any]) -> str:
    """Name a run directory after what distinguishes the run.

    Example:
        >>> given = {"data": "folder:my/photos.zip", "max_flops": "60M", "duration": "1h"}
        >>> _directory(given)
        'runs/photos-60M-flops-1h'
    """
    kind, _, path = str(options.get("data") or "digits").partition(":")
    if options.get("reuse"):
        kind, path = "folder", options["reuse"]
    parts = [Path(path).stem or Path(path).name if kind == "folder" else f"{kind} {path}"]
    for name, (side, cost, _) in BOUNDS.items():
        if options.get(name):
            least = "at least " if side == "minimum" else ""
            parts.append(f"{least}{options[name]} {cost}")
    parts += [*options.get("at_most", ()), *options.get("at_least", ())]
    parts += [str(options[name]) for name in ("budgets", "duration") if options.get(name)]
    if options.get("seed"):
        parts.append(f"seed {options['seed']}")
    return f"runs/{folder_name(parts)}"
