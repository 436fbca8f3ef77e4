"""A run by a plan: everything that the user left open is chosen, within the time given."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from spos._util.errors import UserError
from spos._util.listener import Listener, Silent
from spos._util.settings import show_value
from spos.cost.latency.backend import threads_set
from spos.data import ImageData
from spos.data.peek import ImageFacts
from spos.report.result import Result
from spos.report.words import duration
from spos.run.config import merge_sections
from spos.run.directory import RunDirectory
from spos.run.following import check_loggers
from spos.run.initial import with_digests
from spos.run.known_networks import check_name
from spos.run.latency import discard_table, measure_for_run
from spos.run.local_workers import LocalWorkers
from spos.run.outcome import FinalistsOutcome, RetrainOutcome, SearchOutcome
from spos.run.pipeline import run
from spos.run.planning.plan import Plan
from spos.run.planning.planner import Planner
from spos.run.planning.schedule import Schedule, read_plan
from spos.run.planning.trainings import needs_plan
from spos.run.reuse import is_fresh
from spos.run.side_by_side import Workers


def run_planned(
    out: Path,
    given: Mapping[str, Any],
    *,
    seconds: float | None = None,
    threads: int | None = None,
    compare: int | None = None,
    compare_with: Sequence[str] = (),
    listener: Listener | None = None,
    accelerator: str = "auto",
    confirm: Callable[[Plan], bool] | None = None,
    began: float | None = None,
    facts: ImageFacts | None = None,
    make_load: Callable[[Mapping[str, Any]], Callable[[], ImageData] | None] | None = None,
    reuse: Path | None = None,
    workers: Workers | None = None,
    **execution: Any,
) -> Result:
    """Run all stages with the settings of a plan; a run that was started is resumed by its plan.

    Args:
        out (Path): run directory; created if missing.
        given (Mapping): settings by section; what is missing is chosen.
        seconds (float | None): time for the whole run; None for as long as it takes.
        threads (int | None): CPU threads; None to choose them.
        compare (int | None): number of random networks to compare with; None to choose it.
        compare_with (Sequence[str]): names of known networks to compare with.
        listener (Listener | None): receiver of progress and messages.
        accelerator (str): accelerator of Lightning Fabric.
        confirm (Callable | None): function that is shown a new plan, and returns whether to run it.
        began (float | None): time at which the process began, of ``time.monotonic``.
        facts (ImageFacts | None): what the images are like; None to look at the source.
        make_load (Callable | None): function from the settings of the plan to one that returns
            images of your own.
        reuse (Path | None): directory of a run whose trained supernet and evaluations are reused.
        workers (Workers | None): processes for independent work, which are used if they do more
            than this one; None for this one.
        **execution: further arguments of :func:`spos.run.run`.

    Returns:
        The result of the run.

    Raises:
        UserError: an argument or a setting is not valid, or the plan was not confirmed.
        KeyboardInterrupt: the run was interrupted; its state is saved.
    """
    began = time.monotonic() if began is None else began
    # Before anything is measured.
    check_loggers(execution.get("loggers", ()))
    given = with_digests(given)
    listener = listener or Silent()
    directory, other = RunDirectory(out), RunDirectory(reuse) if reuse else None
    here: dict[str, Any] = {"facts": facts, "accelerator": accelerator}
    measured = partial(measure_for_run, out, reuse=reuse, listener=listener, **here)
    execution |= {"accelerator": accelerator, "reuse": reuse, "compare_with": compare_with}
    used = workers

    def execute(settings: Mapping[str, Any], listener: Listener, **more: Any) -> Result:
        taken = {} if other is None else other.read_config()
        load = None if make_load is None else make_load(merge_sections(taken, settings))
        try:
            return run(
                out, settings, load=load, listener=listener, workers=used, **more, **execution
            )
        except UserError:
            if not given.get("constraint", {}).get("latency_table"):
                discard_table(out)
            raise

    plan = read_plan(out)
    new = plan is None
    if plan is None:
        if not _gets_plan(directory, given, seconds, other, facts):
            with threads_set(_fastest_threads(threads, other)):
                settings, count = measured(given), compare or 0
                if other is not None and (seconds := _as_long_as(other, directory, count)):
                    listener = Countdown(listener, time.monotonic() + seconds)
                return execute(settings, listener, compare=count)
        planner = Planner(
            given,
            seconds,
            began=began,
            threads=threads,
            compare=compare,
            known=compare_with,
            reuse=other,
            tell=listener.message,
            processes=workers.count if workers else 1,
            **here,
        )
        # What can be refused before anything is measured.
        for name in compare_with:
            check_name(name)
        with directory.open():
            plan = planner.plan()
        if confirm is not None and not confirm(plan):
            raise UserError("not started; give --time to limit it, or --yes to run it")
    elif seconds is not None and seconds != plan.seconds:
        planned = "no limit" if plan.seconds is None else duration(plan.seconds)
        raise UserError(
            f"--time {duration(seconds)}: {out} was planned for {planned}; give the same, or "
            "another --out"
        )
    if plan.processes == 1 and isinstance(workers, LocalWorkers) and not workers.always:
        used = None
    elif isinstance(workers, LocalWorkers):
        workers.warm()
    with threads_set(plan.speed.threads):
        ready = time.monotonic()
        constraint = measured(plan.complete(given)).get("constraint", {})
        if new:
            plan = plan.after(time.monotonic() - ready)
        schedule = Schedule(plan, began, compare, new, compare_with)
        until = began + max(plan.seconds or 0.0, plan.total) - schedule.before(out)
        settings = {**plan.complete(given), "constraint": constraint}
        notes = describe(plan) if new else ()
        return execute(settings, Countdown(listener, until), schedule=schedule, notes=notes)


def _gets_plan(
    directory: RunDirectory,
    given: Mapping[str, Any],
    seconds: float | None,
    other: RunDirectory | None,
    facts: ImageFacts | None,
) -> bool:
    """Whether a run without a plan gets one.

    Raises:
        UserError: a time is given, but the run was started without.
    """
    # One that was killed before its plan was kept is planned again.
    fresh = seconds is not None and other is not None and is_fresh(directory)
    if directory.config_path.exists() and not fresh:
        if seconds is not None:
            raise UserError(
                f"--time: {directory.path} was started without it; leave it out to resume"
            )
        return False
    if seconds is not None:
        return True
    return other is None and needs_plan(given, facts.channels if facts else 3)


def _fastest_threads(threads: int | None, other: RunDirectory | None) -> int:
    """CPU threads without a plan: as many as the other run was measured to be fastest with."""
    reused = None if other is None else read_plan(other.path)
    return threads or (torch.get_num_threads() if reused is None else reused.speed.threads)


def _as_long_as(other: RunDirectory, directory: RunDirectory, compare: int) -> float:
    """Seconds that the stages left took in the run that is reused; 0 if it has not finished them.

    Args:
        other (RunDirectory): the run that is reused, whose settings apply.
        directory (RunDirectory): this run.
        compare (int): number of random networks to compare with.
    """
    left = 0.0
    for kind in (SearchOutcome, FinalistsOutcome, RetrainOutcome):
        there = other.outcome(kind)
        if there is None:
            if kind is not FinalistsOutcome:
                return 0.0
            continue
        times = 1 + compare if kind is RetrainOutcome else 1
        left += there.seconds * (times - (directory.outcome(kind) is not None))
    return left


@dataclass
class Countdown(Listener):
    """Adds the time that is left for the whole run to the progress of a stage.

    Args:
        listener (Listener): receiver of progress and messages.
        until (float): expected end of the run, of ``time.monotonic``.
    """

    listener: Listener
    until: float

    def message(self, text: str) -> None:
        """Pass a message on."""
        self.listener.message(text)

    def progress(self, stage: str, done: int, total: int, detail: str) -> None:
        """Pass progress on, with the time left, until the expected end."""
        left = self.until - time.monotonic()
        # More may be asked of a finished run, such as further networks to compare with.
        shown = f"{duration(left)} left in all  {detail}" if left > 0 else detail
        self.listener.progress(stage, done, total, shown)


def describe(plan: Plan) -> list[str]:
    """Describe a plan in lines: what was chosen and why, and how long each stage takes."""
    lines = describe_choices(plan)
    stages = ", ".join(f"{one.stage} {duration(one.seconds)}" for one in plan.estimates)
    lines.append(f"{plan.machine}; expected: {stages}")
    limit = "" if plan.seconds is None else f" of {duration(plan.seconds)}"
    lines.append(f"in all about {duration(plan.total)}{limit}")
    return lines


def describe_choices(plan: Plan) -> list[str]:
    """Describe what a plan chose and why, a line each."""
    return [
        f"{choice.setting} {show_value(choice.value)}: {choice.reason}"
        for choice in plan.choices
        if choice.reason
    ]
